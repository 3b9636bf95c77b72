import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import {
  type WriteDecided,
  type WriteOperationSchema,
  type WritePinsRequest,
  WritePinsRequestSchema,
} from '../../gen/pinfold/v1/pin_service_pb.ts';
import type { Clients } from './client.ts';

export interface BulkOperation {
  cid: string;
  operation: MessageInitShape<typeof WriteOperationSchema>;
}

export interface BulkResult {
  cid: string;
  failure: { reason: string; message: string } | undefined;
}

/** Operations a message: large enough to cost little each, small enough to be answered soon. */
const operationsPerMessage = 500;
/** Operations sent and not answered yet. */
const operationsInFlightMax = 20_000;
/** A daemon that is being started again answers after some seconds. */
const reconnectsMax = 7;
const reconnectPauseMsMin = 100;

/**
 * Sends operations through WritePins and yields what became of each, in order. A stream that is cut is taken up again
 * where it was: the daemon says up to which number it has decided.
 */
export async function* writeInBulk(
  clients: Clients,
  operations: AsyncIterable<BulkOperation>,
): AsyncIterable<BulkResult> {
  const writer = new BulkWriter(operations);
  for (let cuts = 0; ; ) {
    try {
      for await (const { message } of clients.pins.writePins(writer.requests())) {
        if (message.case === 'started') yield* writer.started(Number(message.value.decided));
        if (message.case === 'decided') yield* writer.decided(message.value);
        cuts = 0;
      }
      return;
    } catch (error) {
      if (!isCut(error) || !writer.isStarted || ++cuts > reconnectsMax) throw error;
      writer.cut();
      await pause(reconnectPauseMsMin * 2 ** (cuts - 1));
    }
  }
}

/** Connect has several words for a connection that breaks, by the moment. Nobody cancels here. */
function isCut(error: unknown): boolean {
  return error instanceof ConnectError && [Code.Unavailable, Code.Aborted, Code.Canceled].includes(error.code);
}

class BulkWriter {
  /** Whether a daemon has taken the stream at all. */
  isStarted = false;
  readonly #streamKey = randomUUID();
  readonly #source: AsyncIterator<BulkOperation>;
  /** Operations read and not answered; the first has the number `#answered + 1`. */
  #window: BulkOperation[] = [];
  #answered = 0;
  /** How many of the window were sent on this stream. */
  #sent = 0;
  #exhausted = false;
  #wake: () => void = () => {};
  #ready = false;
  #attempt = 0;

  constructor(operations: AsyncIterable<BulkOperation>) {
    this.#source = operations[Symbol.asyncIterator]();
  }

  async *requests(): AsyncIterable<WritePinsRequest> {
    const attempt = this.#attempt;
    yield create(WritePinsRequestSchema, { message: { case: 'start', value: { streamKey: this.#streamKey } } });
    while (attempt === this.#attempt) {
      if (!this.#ready || this.#window.length >= operationsInFlightMax) await this.#change();
      else if (this.#sent === this.#window.length && !(await this.#read())) return;
      else {
        const batch = this.#window.slice(this.#sent, this.#sent + operationsPerMessage);
        const first = BigInt(this.#answered + this.#sent + 1);
        this.#sent += batch.length;
        const value = { first, operations: batch.map(({ operation }) => operation) };
        yield create(WritePinsRequestSchema, { message: { case: 'batch', value } });
      }
    }
  }

  /** What was decided before a cut and never answered, was done or refused; which, only the pinset tells. */
  *started(decided: number): Iterable<BulkResult> {
    yield* this.#settle(decided, new Map());
    this.#ready = true;
    this.isStarted = true;
    this.#wake();
  }

  *decided({ last, failures }: WriteDecided): Iterable<BulkResult> {
    yield* this.#settle(Number(last), new Map(failures.map((failure) => [Number(failure.number), failure])));
    this.#wake();
  }

  cut(): void {
    this.#attempt++;
    this.#ready = false;
    this.#sent = 0;
    this.#wake();
  }

  *#settle(last: number, failures: Map<number, { reason: string; message: string }>): Iterable<BulkResult> {
    const settled = this.#window.splice(0, Math.max(0, last - this.#answered));
    this.#sent = Math.max(0, this.#sent - settled.length);
    for (const { cid } of settled) yield { cid, failure: failures.get(++this.#answered) };
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** Reads up to a message's worth; false when there is nothing more. */
  async #read(): Promise<boolean> {
    let read = 0;
    while (!this.#exhausted && read < operationsPerMessage) {
      const next = await this.#source.next();
      if (next.done) this.#exhausted = true;
      else {
        this.#window.push(next.value);
        read++;
      }
    }
    return read > 0;
  }
}

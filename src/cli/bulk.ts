import { setTimeout as pause } from 'node:timers/promises';
import { create, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { AckLevel } from '../../gen/pinfold/v1/pin_pb.ts';
import {
  type WriteDecided,
  WriteOperationSchema,
  type WritePinsRequest,
  WritePinsRequestSchema,
} from '../../gen/pinfold/v1/pin_service_pb.ts';
import { systemRandom } from '../runtime/random.ts';
import type { Ack } from './ack-flag.ts';
import type { Clients } from './client.ts';
import type { NamedCid } from './paths.ts';

export interface BulkOperation extends NamedCid {
  operation: MessageShape<typeof WriteOperationSchema>;
}

export interface BulkResult extends NamedCid {
  failure: Failure;
  /** Members that will not see it, or are not known to. */
  unseenBy: readonly string[];
  /** What was reached; undefined: durable. */
  level: AckLevel | undefined;
  acknowledgedBy: readonly string[];
}

type Reached = Pick<WriteDecided, 'unseenBy' | 'acknowledgedBy'> & { level?: AckLevel | undefined };

/** Of an answer that was lost. */
const unknownReached: Reached = { unseenBy: [], acknowledgedBy: [], level: undefined };

type Failure = { reason: string; message: string } | undefined;

/** Operations a message: large enough to cost little each, small enough to be answered soon. */
const operationsPerMessage = 500;
/** Bytes of a message, about: half of what the API allows in one. */
const messageBytes = 512 * 1024;
/** Operations sent and not answered yet; more where the answers wait for other peers. */
const operationsInFlightMax = 20_000;
const operationsWaitingMax = 100_000;
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
  ack?: Ack,
): AsyncIterable<BulkResult> {
  const writer = new BulkWriter(operations, ack);
  for (let cuts = 0; ; ) {
    try {
      for await (const { message } of clients.pins.writePins(writer.requests())) {
        if (message.case === 'started') {
          const decided = Number(message.value.decided);
          yield* writer.lost(decided, (operation) => failureByPinset(clients, operation));
          writer.started();
        }
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

/**
 * What became of an operation whose answer was lost in a cut: it is decided and cannot be sent again; whether it was done, the pinset
 * tells.
 */
async function failureByPinset(clients: Clients, { operation }: BulkOperation['operation']): Promise<Failure> {
  if (operation.case === undefined) return undefined;
  const { cid, namespace } = operation.value;
  const isPinned = await clients.pins.getPin({ cid, namespace }).then(
    () => true,
    (error) => {
      if (isCut(error)) throw error;
      return false;
    },
  );
  if (isPinned === (operation.case === 'pin')) return undefined;
  const is = isPinned ? 'it is still pinned' : 'it is not pinned';
  return { reason: 'ANSWER_LOST', message: `the connection was cut before the answer came, and ${is}` };
}

class BulkWriter {
  /** Whether a daemon has taken the stream at all. */
  isStarted = false;
  readonly #streamKey = Buffer.from(systemRandom.bytes(16)).toString('hex');
  readonly #ack: Ack | undefined;
  readonly #source: AsyncIterator<BulkOperation>;
  /** Operations read and not answered; the first has the number `#answered + 1`. */
  #window: BulkOperation[] = [];
  #answered = 0;
  /** How many of the window were sent on this stream. */
  #sent = 0;
  #exhausted = false;
  /** They differ in little but the CID: the first tells how many make a message. 0: none was read. */
  #perMessage = 0;
  #wake: () => void = () => {};
  #ready = false;
  #attempt = 0;

  constructor(operations: AsyncIterable<BulkOperation>, ack: Ack | undefined) {
    this.#ack = ack;
    this.#source = operations[Symbol.asyncIterator]();
  }

  get #windowMax(): number {
    return this.#ack === undefined ? operationsInFlightMax : operationsWaitingMax;
  }

  async *requests(): AsyncIterable<WritePinsRequest> {
    const attempt = this.#attempt;
    const start = { streamKey: this.#streamKey, ...(this.#ack === undefined ? {} : { ack: this.#ack }) };
    yield create(WritePinsRequestSchema, { message: { case: 'start', value: start } });
    while (attempt === this.#attempt) {
      if (!this.#ready || this.#window.length >= this.#windowMax) await this.#change();
      else if (this.#sent === this.#window.length) {
        // After a cut meanwhile what was read is the next attempt's to send.
        if (!(await this.#read()) && attempt === this.#attempt) return;
      } else {
        const batch = this.#window.slice(this.#sent, this.#sent + this.#perMessage);
        const first = BigInt(this.#answered + this.#sent + 1);
        this.#sent += batch.length;
        const value = { first, operations: batch.map(({ operation }) => operation) };
        yield create(WritePinsRequestSchema, { message: { case: 'batch', value } });
      }
    }
  }

  /** What was decided before a cut and never answered. */
  async *lost(decided: number, failureOf: (operation: BulkOperation['operation']) => Promise<Failure>) {
    while (this.#answered < decided) {
      const [next] = this.#window;
      if (next === undefined) throw new Error(`the daemon has decided ${decided} operations; less were sent`);
      const failure = await failureOf(next.operation);
      yield* this.#settle(this.#answered + 1, new Map([[this.#answered + 1, failure]]));
    }
  }

  /** The daemon has taken the stream, and says from where it goes on. */
  started(): void {
    this.#ready = true;
    this.isStarted = true;
    this.#wake();
  }

  *decided({ last, failures, ...reached }: WriteDecided): Iterable<BulkResult> {
    const byNumber = new Map(failures.map((failure) => [Number(failure.number), failure]));
    yield* this.#settle(Number(last), byNumber, reached);
    this.#wake();
  }

  cut(): void {
    this.#attempt++;
    this.#ready = false;
    this.#sent = 0;
    this.#wake();
  }

  *#settle(
    last: number,
    failures: ReadonlyMap<number, Failure>,
    { level, acknowledgedBy, unseenBy }: Reached = unknownReached,
  ): Iterable<BulkResult> {
    const settled = this.#window.splice(0, Math.max(0, last - this.#answered));
    this.#sent = Math.max(0, this.#sent - settled.length);
    const first = this.#answered + 1;
    this.#answered += settled.length;
    for (const [i, { operation: _, ...named }] of settled.entries()) {
      yield { ...named, failure: failures.get(first + i), unseenBy, level, acknowledgedBy };
    }
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
        if (this.#perMessage === 0) this.#perMessage = operationsFor(next.value.operation);
        this.#window.push(next.value);
        read++;
      }
    }
    return read > 0;
  }
}

function operationsFor(operation: BulkOperation['operation']): number {
  const bytes = toBinary(WriteOperationSchema, operation).length;
  return Math.max(1, Math.min(operationsPerMessage, Math.floor(messageBytes / bytes)));
}

import { create } from '@bufbuild/protobuf';
import {
  type WriteBatch,
  type WriteOperation,
  type WritePinsRequest,
  type WritePinsResponse,
  WritePinsResponseSchema,
} from '../../../gen/pinfold/v1/pin_service_pb.ts';
import type { BulkWrite, Pins } from '../../cluster/pins.ts';
import type { AckLevel, Outcome } from '../../consensus/consensus.ts';
import type { CallContext } from '../../model/call-context.ts';
import { parseCid } from '../../model/cid.ts';
import { invalidField, isPinfoldError, PinfoldError } from '../../model/errors.ts';
import {
  bulkMessagesInFlightMax,
  bulkOperationsInFlightMax,
  bulkOperationsOfAllMax,
  operationsPerBatchMax,
} from '../constants.ts';
import { ackFrom, ackMessage, conditionFrom, namespaceOf, pinOptionsFrom } from './convert.ts';
import { keyHash } from './pin-writes.ts';

/** Operations that wait for their answer, of all bulk streams. */
export interface BulkLoad {
  operations: number;
}

interface InFlight {
  answer: Promise<WritePinsResponse>;
  operations: number;
}

/**
 * One bulk stream: batches are read ahead by a few, so that the disk is never idle, and answered in order. The client is held back by the
 * flow control of its stream, since no more is read while the answers wait.
 */
export async function* writePins(
  pins: Pins,
  requests: AsyncIterable<WritePinsRequest>,
  call: CallContext,
  load: BulkLoad = { operations: 0 },
): AsyncIterable<WritePinsResponse> {
  const incoming = new Incoming(requests);
  const { key, ack } = await startOf(incoming, call);
  const decided = key === undefined ? 0 : await pins.bulkDecided(key);
  yield started(decided);

  let next = decided + 1;
  let ended = false;
  const inFlight: InFlight[] = [];
  let operations = 0;

  /** Undefined: all of it is decided already. A message that cannot be taken is answered in its turn, after what came before it. */
  function answerTo(request: WritePinsRequest): InFlight | undefined {
    try {
      const writes = writesOf(batchOf(request), next);
      if (writes.length === 0) return undefined;
      const first = next;
      next += writes.length;
      const position = key === undefined ? undefined : { key, first };
      const answer = pins.bulk(writes, position, ack, call).then((outcomes) => decidedMessage(first, outcomes));
      return { answer, operations: writes.length };
    } catch (error) {
      ended = true;
      return { answer: Promise.reject(error), operations: 0 };
    }
  }

  function counted(change: number): void {
    operations += change;
    load.operations += change;
  }

  function isFull(): boolean {
    if (inFlight.length === 0) return false;
    const isMuch = operations >= bulkOperationsInFlightMax || load.operations >= bulkOperationsOfAllMax;
    return isMuch || inFlight.length >= bulkMessagesInFlightMax;
  }

  try {
    for (;;) {
      while (!ended && !isFull()) {
        const request = await incoming.next(inFlight[0]?.answer);
        if (request === 'answered') break;
        if (request.done) {
          ended = true;
          break;
        }
        const taken = answerTo(request.value);
        if (taken === undefined) continue;
        // It is awaited in its turn; until then its failure must not count as unhandled.
        taken.answer.catch(() => {
          ended = true;
        });
        inFlight.push(taken);
        counted(taken.operations);
      }
      const oldest = inFlight[0];
      if (oldest === undefined) return;
      const response = await oldest.answer;
      inFlight.shift();
      counted(-oldest.operations);
      yield response;
    }
  } finally {
    counted(-operations);
    await incoming.close();
  }
}

/** The messages of the client; a read given up for an answer stays for the next time. */
class Incoming {
  readonly #requests: AsyncIterator<WritePinsRequest>;
  #read: Promise<IteratorResult<WritePinsRequest>> | undefined;

  constructor(requests: AsyncIterable<WritePinsRequest>) {
    this.#requests = requests[Symbol.asyncIterator]();
  }

  /** The next message, or 'answered' if `answer` settles (either way) before it comes. */
  async next(answer?: Promise<unknown>): Promise<IteratorResult<WritePinsRequest> | 'answered'> {
    this.#read ??= this.#requests.next();
    const answered = () => 'answered' as const;
    const first =
      answer === undefined ? await this.#read : await Promise.race([this.#read, answer.then(answered, answered)]);
    if (first !== 'answered') this.#read = undefined;
    return first;
  }

  async close(): Promise<void> {
    this.#read?.catch(() => {});
    await this.#requests.return?.();
  }
}

async function startOf(incoming: Incoming, call: CallContext) {
  const first = await incoming.next();
  if (first === 'answered' || first.done || first.value.message.case !== 'start')
    throw invalidField('start', 'must be the first message');
  const { streamKey, ack } = first.value.message.value;
  const key = streamKey === '' ? undefined : keyHash('pinfold.v1.WritePins', streamKey, 'start.stream_key', call);
  return { key, ack: ackFrom(ack) satisfies AckLevel };
}

function batchOf({ message }: WritePinsRequest): WriteBatch {
  if (message.case !== 'batch') throw invalidField('batch', 'every message after the first must have one');
  if (message.value.operations.length > operationsPerBatchMax) {
    throw invalidField('batch.operations', `at most ${operationsPerBatchMax} a message`);
  }
  return message.value;
}

/** The operations from number `next` on: those before it are decided already. */
function writesOf({ first, operations }: WriteBatch, next: number): BulkWrite[] {
  const number = Number(first);
  if (number < 1 || number > next) {
    throw new PinfoldError('STREAM_GAP', `batch.first is ${number}, but the next number of this stream is ${next}`, {
      fields: [{ field: 'batch.first', problem: `leaves a gap after ${next - 1}` }],
    });
  }
  const skip = next - number;
  return (skip === 0 ? operations : operations.slice(skip)).map(writeOf);
}

function writeOf({ operation }: WriteOperation): BulkWrite {
  try {
    switch (operation.case) {
      case 'pin': {
        const { cid, namespace, options, condition } = operation.value;
        return {
          kind: 'pin',
          cid: parseCid(cid),
          namespace: namespaceOf(namespace),
          options: pinOptionsFrom(options),
          condition: conditionFrom(condition),
        };
      }
      case 'unpin': {
        const { cid, namespace, condition } = operation.value;
        const write = { cid: parseCid(cid), namespace: namespaceOf(namespace), condition: conditionFrom(condition) };
        return { kind: 'unpin', ...write };
      }
      default:
        throw invalidField('operation', 'must be a pin or an unpin');
    }
  } catch (error) {
    if (isPinfoldError(error)) return { kind: 'invalid', error };
    throw error;
  }
}

function started(decided: number): WritePinsResponse {
  return create(WritePinsResponseSchema, { message: { case: 'started', value: { decided: BigInt(decided) } } });
}

function decidedMessage(first: number, outcomes: readonly Outcome[]): WritePinsResponse {
  const failures = [];
  let last: Extract<Outcome, { ok: true }> | undefined;
  const unseen = new Set<string>();
  for (let i = 0; i < outcomes.length; i++) {
    const outcome = outcomes[i] as Outcome;
    if (outcome.ok) {
      // Mostly the very same list as that of the one before.
      if (outcome.unseenBy !== last?.unseenBy) for (const peerId of outcome.unseenBy) unseen.add(peerId);
      last = outcome;
    } else failures.push({ number: BigInt(first + i), reason: outcome.error.code, message: outcome.error.message });
  }
  return create(WritePinsResponseSchema, {
    message: {
      case: 'decided',
      value: {
        first: BigInt(first),
        last: BigInt(first + outcomes.length - 1),
        failures,
        ...(last === undefined
          ? {}
          : { level: ackMessage(last.level), position: last.position, unseenBy: [...unseen] }),
      },
    },
  });
}

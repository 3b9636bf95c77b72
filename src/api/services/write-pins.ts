import { create } from '@bufbuild/protobuf';
import {
  type WriteBatch,
  type WriteOperation,
  type WritePinsRequest,
  type WritePinsResponse,
  WritePinsResponseSchema,
} from '../../../gen/pinfold/v1/pin_service_pb.ts';
import type { BulkWrite, Pins } from '../../cluster/pins.ts';
import type { AckLevel } from '../../consensus/consensus.ts';
import type { CallContext } from '../../model/call-context.ts';
import { parseCid } from '../../model/cid.ts';
import { invalidField, isPinfoldError, PinfoldError } from '../../model/errors.ts';
import { operationsPerBatchMax } from '../constants.ts';
import { AnswersInOrder, type BulkLoad } from './answers-in-order.ts';
import { ackFrom, conditionFrom, namespaceOf, pinOptionsFrom } from './convert.ts';
import { answerOf, type DecidedRun, decidedRuns } from './decided-runs.ts';
import { keyHash } from './pin-writes.ts';

/**
 * One bulk stream: batches are read ahead by a few, so that the disk is never idle, and answered in order. The client is held back by the
 * flow control of its stream, since no more is read while too much waits.
 */
export async function* writePins(
  pins: Pins,
  requests: AsyncIterable<WritePinsRequest>,
  call: CallContext,
  load: BulkLoad = { operations: 0 },
): AsyncIterable<WritePinsResponse> {
  const incoming = new Incoming(requests);
  const { key, ack } = await startOf(incoming, call);
  pins.checkReachable(ack);
  const decided = key === undefined ? 0 : await pins.bulkDecided(key);
  yield started(decided);

  let next = decided + 1;
  let ended = false;
  const answers = new AnswersInOrder(load, () => pins.isWaitingMuch);
  const answer = (run: DecidedRun) => answerOf(pins, run, call);

  /** A message that cannot be taken is answered in its turn, after what came before it. */
  function take(request: WritePinsRequest): void {
    try {
      const writes = writesOf(batchOf(request), next);
      // All of it is decided already.
      if (writes.length === 0) return;
      const first = next;
      next += writes.length;
      const position = key === undefined ? undefined : { key, first };
      const outcomes = pins.bulk(writes, position, ack, call);
      answers.add(
        outcomes.then((all) => decidedRuns(first, writes, all, ack)),
        writes.length,
        answer,
      );
    } catch (error) {
      ended = true;
      answers.add(Promise.reject(error), 0, answer);
    }
  }

  try {
    for (;;) {
      const responses = answers.next();
      if (responses !== undefined) {
        yield* responses;
        continue;
      }
      ended ||= answers.hasFailed;
      if (ended && answers.isEmpty) return;
      if (ended || answers.isFull) {
        await answers.changed;
        continue;
      }
      const request = await incoming.next(answers.isEmpty ? undefined : answers.changed);
      if (request === 'answered') continue;
      if (request.done) ended = true;
      else take(request.value);
    }
  } finally {
    answers.close();
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
        const { cid, namespace, options, condition, ack } = operation.value;
        return {
          kind: 'pin',
          cid: parseCid(cid),
          namespace: namespaceOf(namespace),
          options: pinOptionsFrom(options),
          condition: conditionFrom(condition),
          ...(ack === undefined ? {} : { ack: ackFrom(ack) }),
        };
      }
      case 'unpin': {
        const { cid, namespace, condition, ack } = operation.value;
        const write = { cid: parseCid(cid), namespace: namespaceOf(namespace), condition: conditionFrom(condition) };
        return { kind: 'unpin', ...write, ...(ack === undefined ? {} : { ack: ackFrom(ack) }) };
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

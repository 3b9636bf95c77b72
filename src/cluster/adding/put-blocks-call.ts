import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type OfferedBlock,
  OfferedBlockSchema,
  type PutBlocksRequest,
  PutBlocksRequestSchema,
  type PutBlocksResponse,
} from '../../../gen/pinfold/peer/v1/blocks_pb.ts';
import type { Block, CallOptions } from '../../ipfs/connector.ts';
import { PinfoldError } from '../../model/errors.ts';
import type { PeerRpc } from '../../network/network.ts';
import { deadlineSignal, mergeSignals, raceSignal } from '../../runtime/abort.ts';
import { BoundedQueue } from '../../runtime/bounded-queue.ts';
import type { Timers } from '../../runtime/clock.ts';
import { type Deferred, deferred } from '../../runtime/deferred.ts';
import { wrongAnswer } from '../status-rows.ts';
import { DESTINATION_STALL_MS, PARCEL_BYTES } from './constants.ts';
import type { Destination, Sent } from './destinations.ts';

type PutMessage = NonNullable<MessageInitShape<typeof PutBlocksRequestSchema>['message']>;

interface OpenBatch {
  cids: number;
  wants: Deferred<readonly number[]>;
  stored: Deferred<void>;
}

/** Another peer's node as a destination: one call of PutBlocks for the whole add. */
export class PutBlocksCall implements Destination {
  readonly peerId: string;
  readonly #timers: Timers;
  /** Messages that the connection has not taken yet; who adds more waits. */
  readonly #requests = new BoundedQueue<PutBlocksRequest>({ limit: 2 });
  readonly #batches = new Map<number, OpenBatch>();
  readonly #prepared = deferred();
  readonly #scope = mergeSignals();
  /** Settled when the messages before have been taken. */
  #sent: Promise<void> = Promise.resolve();
  #lastBatch = 0;
  #failure: { cause: unknown } | undefined;
  #isEnding = false;

  constructor(peerId: string, needs: { rpc: Pick<PeerRpc, 'call'>; timers: Timers }) {
    this.peerId = peerId;
    this.#timers = needs.timers;
    this.#prepared.promise.catch(() => {});
    const responses = needs.rpc.call(peerId, 'putBlocks', this.#requests, { signal: this.#scope.signal });
    void this.#read(responses);
  }

  put(blocks: readonly Block[], options: CallOptions): Promise<Sent> {
    return this.#inTime(options, async (signal) => {
      const batch = ++this.#lastBatch;
      const open: OpenBatch = { cids: blocks.length, wants: deferred(), stored: deferred() };
      // They may be rejected when nobody waits for them any more, or not yet.
      for (const { promise } of [open.wants, open.stored]) promise.catch(() => {});
      this.#batches.set(batch, open);
      await this.#send({ case: 'offer', value: { batch, cids: blocks.map(({ cid }) => bytesOf(cid)) } }, signal);
      const wanted = await raceSignal(open.wants.promise, signal);
      let bytes = 0;
      let parcel: OfferedBlock[] = [];
      let parcelBytes = 0;
      for (const [at, index] of wanted.entries()) {
        const data = bytesOf((blocks[index] as Block).bytes);
        parcel.push(create(OfferedBlockSchema, { index, data }));
        bytes += data.length;
        parcelBytes += data.length;
        const last = at === wanted.length - 1;
        if (!last && parcelBytes + nextLength(blocks, wanted, at) <= PARCEL_BYTES) continue;
        await this.#send({ case: 'parcel', value: { batch, blocks: parcel, last } }, signal);
        [parcel, parcelBytes] = [[], 0];
      }
      await raceSignal(open.stored.promise, signal);
      this.#batches.delete(batch);
      return { blocks: wanted.length, bytes };
    });
  }

  prepare(options: CallOptions): Promise<void> {
    return this.#inTime(options, async (signal) => {
      await this.#send({ case: 'prepare', value: {} }, signal);
      await raceSignal(this.#prepared.promise, signal);
    });
  }

  pinned(cids: readonly Uint8Array[]): void {
    this.#isEnding = true;
    void this.#send({ case: 'pinned', value: { cids: cids.map(bytesOf) } }, this.#scope.signal).then(
      () => this.#requests.close(),
      () => {},
    );
  }

  release(): void {
    if (!this.#isEnding) this.#scope.abort(new PinfoldError('CANCELLED', 'the add has ended'));
  }

  /** What takes longer than a stalled destination may, ends the call. */
  async #inTime<T>(options: CallOptions, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    using scope = deadlineSignal(this.#timers, DESTINATION_STALL_MS, options.signal, this.#scope.signal);
    try {
      return await work(scope.signal);
    } catch (cause) {
      throw this.#failure?.cause ?? cause;
    }
  }

  /** One after the other, in the order of the calls: the queue would let them overtake each other. */
  async #send(message: PutMessage, signal: AbortSignal): Promise<void> {
    const sending = this.#sent.then(() => this.#requests.push(requestOf(message), { signal }));
    this.#sent = sending.then(
      () => {},
      () => {},
    );
    const isTaken = await sending;
    if (!isTaken) throw new PinfoldError('PEER_UNREACHABLE', `${this.peerId} takes no more blocks`);
  }

  async #read(responses: AsyncIterable<PutBlocksResponse>): Promise<void> {
    try {
      for await (const { message } of responses) this.#take(message);
      this.#fail(new PinfoldError('PEER_UNREACHABLE', `${this.peerId} ended the call before the add was over`));
    } catch (cause) {
      this.#fail(cause);
    } finally {
      this.#requests.close();
    }
  }

  #take(message: PutBlocksResponse['message']): void {
    switch (message.case) {
      case 'wants': {
        const { batch, indexes } = message.value;
        const open = this.#batch(batch);
        if (!isIncreasing(indexes, open.cids)) throw wrongAnswer('it wants what was not offered');
        open.wants.resolve(indexes);
        break;
      }
      case 'stored': {
        const open = this.#batch(message.value.batch);
        if (!open.wants.isSettled) throw wrongAnswer('it stored what it has not seen');
        open.stored.resolve();
        break;
      }
      case 'prepared':
        this.#prepared.resolve();
        break;
      default:
        throw wrongAnswer('a message that is not known here');
    }
  }

  #batch(batch: number): OpenBatch {
    const open = this.#batches.get(batch);
    if (open === undefined) throw wrongAnswer(`batch ${batch}`);
    return open;
  }

  #fail(cause: unknown): void {
    this.#failure ??= { cause };
    this.#prepared.reject(cause);
    for (const { wants, stored } of this.#batches.values()) {
      wants.reject(cause);
      stored.reject(cause);
    }
    // What waits for room must not wait for ever.
    this.#requests.close();
  }
}

function requestOf(message: PutMessage): PutBlocksRequest {
  return create(PutBlocksRequestSchema, { message });
}

function nextLength(blocks: readonly Block[], wanted: readonly number[], at: number): number {
  return (blocks[wanted[at + 1] as number] as Block).bytes.length;
}

function isIncreasing(indexes: readonly number[], limit: number): boolean {
  return indexes.every((index, at) => index < limit && (at === 0 || index > (indexes[at - 1] as number)));
}

/** The generated types want bytes that lie in no shared memory, which these never do. */
function bytesOf(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>;
}

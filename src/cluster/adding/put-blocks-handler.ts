import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type BlockOffer,
  type BlockParcel,
  type PutBlocksRequest,
  type PutBlocksResponse,
  PutBlocksResponseSchema,
} from '../../../gen/pinfold/peer/v1/blocks_pb.ts';
import { BATCH_BLOCKS_MAX, BATCHES_IN_FLIGHT_MAX } from '../../adder/constants.ts';
import type { Block, Connector } from '../../ipfs/connector.ts';
import { nodeError } from '../../ipfs/node-error.ts';
import { checkCid } from '../../model/cid.ts';
import { invalidField, PinfoldError } from '../../model/errors.ts';
import type { PeerRpcHandlers } from '../../network/peer-methods.ts';
import { iterateUntil, mergeSignals } from '../../runtime/abort.ts';
import { BoundedQueue } from '../../runtime/bounded-queue.ts';
import type { Timers } from '../../runtime/clock.ts';
import { contentPassed } from '../../runtime/garbage.ts';
import { BROKEN_ADD_GRACE_MS, PUT_BATCH_BYTES_MAX } from './constants.ts';

export interface PutBlocksNeeds {
  connector: Pick<Connector, 'missingBlocks' | 'putBlocks' | 'protect'>;
  /** Resolves when the node here is done with these, or will not be soon; never rejects. CIDs in version 1. */
  held: (cids: readonly Uint8Array[]) => Promise<void>;
  timers: Timers;
}

/** Takes what another peer adds into the own node. */
export function putBlocksHandlers(needs: PutBlocksNeeds): Pick<PeerRpcHandlers, 'putBlocks'> {
  return {
    async *putBlocks(requests, { signal }) {
      using scope = mergeSignals(signal);
      const taking = new Taking(needs, scope.signal);
      const working = taking.takeAll(requests);
      try {
        yield* taking.answers;
      } finally {
        scope.abort(new PinfoldError('CANCELLED', 'the call has ended'));
        await working;
        await taking.ended();
      }
    },
  };
}

interface OpenBatch {
  cids: readonly Uint8Array[];
  /** Those that are to come, by their place in the offer. */
  wanted: Set<number>;
  blocks: Block[];
  bytes: number;
}

class Taking {
  readonly #needs: PutBlocksNeeds;
  readonly #signal: AbortSignal;
  readonly answers = new BoundedQueue<PutBlocksResponse>({ limit: 4 * BATCHES_IN_FLIGHT_MAX });
  readonly #batches = new Map<number, OpenBatch>();
  readonly #storing = new Set<Promise<void>>();
  readonly #protection: { release(): void };
  #lastBatch = 0;
  /** Batches that were offered and are not stored yet. */
  #open = 0;
  /** open: blocks come; prepared: pins of them may be committed; pinned: they are, and the node is done with them. */
  #state: 'open' | 'prepared' | 'pinned' = 'open';

  constructor(needs: PutBlocksNeeds, signal: AbortSignal) {
    this.#needs = needs;
    this.#signal = signal;
    this.#protection = needs.connector.protect();
  }

  /** Ends the answers when the requests have ended, or with what was wrong with them. Never rejects. */
  async takeAll(requests: AsyncIterable<PutBlocksRequest>): Promise<void> {
    try {
      await this.#takeAll(iterateUntil(requests, this.#signal));
      this.answers.close();
    } catch (cause) {
      this.answers.fail(nodeError(cause));
    }
  }

  /** A caller that is gone may have committed pins of what it brought. */
  async ended(): Promise<void> {
    await Promise.allSettled(this.#storing);
    const release = () => this.#protection.release();
    if (this.#state === 'prepared') this.#needs.timers.after(BROKEN_ADD_GRACE_MS, release);
    else release();
  }

  async #takeAll(requests: AsyncIterable<PutBlocksRequest>): Promise<void> {
    for await (const { message } of requests) {
      if (this.#state !== 'open' && message.case !== 'pinned') throw invalidField('message', 'comes after prepare');
      switch (message.case) {
        case 'offer':
          await this.#offer(message.value);
          break;
        case 'parcel':
          await this.#parcel(message.value);
          break;
        case 'prepare':
          if (this.#batches.size > 0) throw invalidField('prepare', 'comes before the end of a batch');
          await Promise.all(this.#storing);
          this.#state = 'prepared';
          await this.#answer({ case: 'prepared', value: {} });
          break;
        case 'pinned':
          if (this.#state !== 'prepared') throw invalidField('pinned', 'comes before prepare');
          for (const cid of message.value.cids) checkCid(cid, 'pinned.cids');
          await this.#needs.held(message.value.cids);
          this.#state = 'pinned';
          return;
        default:
          throw invalidField('message', 'is not known here');
      }
    }
  }

  async #offer({ batch, cids }: BlockOffer): Promise<void> {
    if (batch !== this.#lastBatch + 1) throw invalidField('offer.batch', `${batch} after ${this.#lastBatch}`);
    if (cids.length === 0 || cids.length > BATCH_BLOCKS_MAX) {
      throw invalidField('offer.cids', `${cids.length}; a batch has 1 to ${BATCH_BLOCKS_MAX}`);
    }
    if (this.#open >= BATCHES_IN_FLIGHT_MAX) {
      throw invalidField('offer.batch', `more than ${BATCHES_IN_FLIGHT_MAX} batches are open`);
    }
    for (const cid of cids) checkCid(cid, 'offer.cids');
    this.#lastBatch = batch;
    this.#open++;
    const missing = new Set(await this.#needs.connector.missingBlocks(cids, { signal: this.#signal }));
    const indexes = [...cids.keys()].filter((at) => missing.has(cids[at] as Uint8Array));
    const isAllThere = indexes.length === 0;
    if (!isAllThere) this.#batches.set(batch, { cids, wanted: new Set(indexes), blocks: [], bytes: 0 });
    await this.#answer({ case: 'wants', value: { batch, indexes } });
    if (isAllThere) await this.#stored(batch);
  }

  async #parcel({ batch, blocks, last }: BlockParcel): Promise<void> {
    const open = this.#batches.get(batch);
    if (open === undefined) throw invalidField('parcel.batch', `${batch} is not open`);
    for (const { index, data } of blocks) {
      if (!open.wanted.delete(index)) throw invalidField('parcel.blocks.index', `${index} is not wanted`);
      open.blocks.push({ cid: open.cids[index] as Uint8Array, bytes: data });
      open.bytes += data.length;
    }
    if (open.bytes > PUT_BATCH_BYTES_MAX) {
      throw invalidField('parcel.blocks', `${open.bytes} bytes; a batch has at most ${PUT_BATCH_BYTES_MAX}`);
    }
    if (!last) return;
    if (open.wanted.size > 0) throw invalidField('parcel.last', `${open.wanted.size} blocks of the batch are missing`);
    this.#batches.delete(batch);
    contentPassed(open.bytes);
    const storing = this.#store(batch, open.blocks)
      .catch((failure) => this.answers.fail(nodeError(failure)))
      .finally(() => this.#storing.delete(storing));
    this.#storing.add(storing);
  }

  async #store(batch: number, blocks: readonly Block[]): Promise<void> {
    await this.#needs.connector.putBlocks(blocks, { signal: this.#signal, mayBePartial: true });
    await this.#stored(batch);
  }

  async #stored(batch: number): Promise<void> {
    this.#open--;
    await this.#answer({ case: 'stored', value: { batch } });
  }

  async #answer(message: NonNullable<MessageInitShape<typeof PutBlocksResponseSchema>['message']>): Promise<void> {
    await this.answers.push(create(PutBlocksResponseSchema, { message }), { signal: this.#signal });
  }
}

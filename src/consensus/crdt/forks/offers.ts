import { create } from '@bufbuild/protobuf';
import { type SignedBatch, SignedBatchSchema } from '../../../../gen/pinfold/peer/v1/batch_pb.ts';
import {
  type OfferBatchesRequest,
  OfferBatchesRequestSchema,
  type OfferBatchesResponse,
  OfferBatchesResponseSchema,
} from '../../../../gen/pinfold/peer/v1/service_pb.ts';
import { flushedClock, type HeardEntry, readClock } from '../codec/clock-entries.ts';
import { openBatch, verifyBatch } from '../codec/signed-batch.ts';
import { GROUP_BYTES_MAX, OFFER_CALLS_MAX } from '../constants.ts';
import type { Intake } from '../intake.ts';
import { only, type PeerCalls } from '../peer-calls.ts';
import type { CrdtStore } from '../state/store.ts';
import { LogReader } from '../sync/log-reader.ts';

export interface OffersNeeds {
  store: CrdtStore;
  rpc: PeerCalls;
  intake: Intake;
}

/**
 * What this peer has and another lacks, given without being asked for: to who cannot ask, as it reaches another process of this
 * identity (N5), and before this peer leaves its store. Otherwise peers ask for themselves (S1).
 */
export class Offers {
  readonly #needs: OffersNeeds;

  constructor(needs: OffersNeeds) {
    this.#needs = needs;
  }

  /** In causal order, a bounded piece. The other's clock afterwards. */
  async give(peerId: string, clock: readonly HeardEntry[], signal: AbortSignal): Promise<HeardEntry[]> {
    const { store, rpc } = this.#needs;
    const log = new LogReader(clock, (replica, sequence) => store.loggedAsSigned(replica, sequence));
    let theirs = [...clock];
    if (log.isBelowFloor(store.replicas.sorted())) return theirs;
    for (let calls = 0; calls < OFFER_CALLS_MAX; calls++) {
      const batches = this.#next(log);
      if (batches.length === 0) break;
      const request = create(OfferBatchesRequestSchema, { batches });
      const answer = await only(rpc.call(peerId, 'offerBatches', [request], { signal }));
      theirs = readClock(answer.clock);
    }
    return theirs;
  }

  /** What another offers goes the way of a Sync (R1 to R7). Throws InvalidBatch. */
  async taken({ batches }: OfferBatchesRequest, from: string): Promise<OfferBatchesResponse> {
    const { store, intake } = this.#needs;
    for (const parts of batches) {
      const batch = openBatch(parts);
      verifyBatch(batch);
      await intake.take(batch, from);
    }
    await intake.idle();
    return create(OfferBatchesResponseSchema, { clock: flushedClock(store.replicas.sorted()) });
  }

  #next(log: LogReader): SignedBatch[] {
    const { store } = this.#needs;
    const batches: SignedBatch[] = [];
    for (let bytes = 0; bytes < GROUP_BYTES_MAX; ) {
      const next = log.next(store.replicas.sorted());
      if (next === undefined) break;
      const { header, signature, ops } = next.batch;
      batches.push(create(SignedBatchSchema, { header, signature, ops }));
      bytes += header.length + ops.length;
    }
    return batches;
  }
}

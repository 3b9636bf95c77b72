import { create } from '@bufbuild/protobuf';
import {
  type MergeRangeRequest,
  type MergeRangeResponse,
  MergeRangeResponseSchema,
  RangeEndSchema,
  RangeRowsSchema,
} from '../../../../gen/pinfold/peer/v1/service_pb.ts';
import { PinfoldError } from '../../../model/errors.ts';
import { bucketCount } from '../../../model/pin-key.ts';
import { mark } from '../../../runtime/mark.ts';
import { clockOf, rangeHead } from '../codec/range-head.ts';
import { RANGE_BUCKETS_MAX, RANGE_BYTES_MAX, RANGE_TIME_MS } from '../constants.ts';
import type { CrdtStore } from '../state/store.ts';
import { OwnDamage } from './problems.ts';
import { DIGEST_BYTES, type RangeOfBuckets, RangeWalk } from './range-walk.ts';

/**
 * B1, the source: one flushed snapshot, its clock, then for each bucket that it is the caller's, or its rows. It ends after any
 * bucket, at 64 MiB or 30 s at the latest.
 */
export class RangeServer {
  readonly #store: CrdtStore;
  readonly #servedMax: number;
  #served = 0;

  constructor(store: CrdtStore, servedMax: number) {
    this.#store = store;
    this.#servedMax = servedMax;
  }

  async *serve(request: MergeRangeRequest, context: { signal: AbortSignal }): AsyncGenerator<MergeRangeResponse> {
    checkRange(request);
    if (this.#served >= this.#servedMax)
      throw new PinfoldError('LIMIT_REACHED', 'this peer serves as many ranges as it can');
    this.#served++;
    try {
      yield* this.#rows(request, context.signal);
    } finally {
      this.#served--;
    }
  }

  async *#rows(range: RangeOfBuckets, signal: AbortSignal): AsyncGenerator<MergeRangeResponse> {
    const { pinset, clock } = this.#store.needs;
    const snapshot = await pinset.snapshot();
    const startMs = clock.monotonicMs();
    try {
      yield response({ case: 'head', value: rangeHead(clockOf(snapshot.reader), pinset.liveBytes()) });
      const { names, scrub } = pinset;
      const walk = new RangeWalk({ names, scrub, snapshot }, range);
      let bytes = 0;
      while (!walk.isDone) {
        signal.throwIfAborted();
        const isLast = bytes > RANGE_BYTES_MAX || clock.monotonicMs() - startMs > RANGE_TIME_MS;
        const message = walk.next(isLast);
        bytes += message.rows.length;
        yield response({ case: 'rows', value: create(RangeRowsSchema, message) });
      }
      yield response({ case: 'end', value: create(RangeEndSchema, { to: walk.to }) });
    } catch (problem) {
      if (problem instanceof OwnDamage) await this.#damaged(problem);
      throw problem;
    } finally {
      snapshot.close();
    }
  }

  /** The alert is this peer's: it is its disk. Throws DATA_CORRUPT. */
  async #damaged({ bucket, message }: OwnDamage): Promise<never> {
    mark('crdt rebuild: a source keeps damage to itself');
    await this.#store.needs.pinset.scrub.check([bucket]);
    throw new PinfoldError('DATA_CORRUPT', `${message}, at the source; run "pinfold store repair" there`);
  }
}

function checkRange({ from, to, digests }: RangeOfBuckets): void {
  if (from >= to || to > bucketCount || to - from > RANGE_BUCKETS_MAX) {
    const problem = `buckets ${from} to ${to}: at most ${RANGE_BUCKETS_MAX} of ${bucketCount}`;
    throw new PinfoldError('INVALID_ARGUMENT', problem);
  }
  if (digests.length > 0 && digests.length !== (to - from) * DIGEST_BYTES) {
    throw new PinfoldError('INVALID_ARGUMENT', `${digests.length} bytes of digests for ${to - from} buckets`);
  }
}

function response(message: MergeRangeResponse['message']): MergeRangeResponse {
  return create(MergeRangeResponseSchema, { message });
}

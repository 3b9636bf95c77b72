import { create } from '@bufbuild/protobuf';
import {
  type MergeRangeRequest,
  type MergeRangeResponse,
  MergeRangeResponseSchema,
  RangeEndSchema,
  RangeRowsSchema,
} from '../../../../gen/pinfold/peer/v1/service_pb.ts';
import { isPinfoldError, PinfoldError } from '../../../model/errors.ts';
import { bucketCount, bucketOf } from '../../../model/pin-key.ts';
import { DIGEST_BYTES } from '../../../pinset/codec/feed-row.ts';
import { rowDamagedBuckets } from '../../../pinset/scrub/scrub.ts';
import { mark } from '../../../runtime/mark.ts';
import { clockOf, rangeHead } from '../codec/range-head.ts';
import { DOUBTED_BUCKETS_MAX, RANGE_BUCKETS_MAX, RANGE_BYTES_MAX, RANGE_TIME_MS } from '../constants.ts';
import type { CrdtStore } from '../state/store.ts';
import { type RangeOfBuckets, RangeWalk } from './range-walk.ts';

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
      if (request.doubted.length > 0) await this.#store.needs.pinset.scrub.check(request.doubted);
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
      const digests = snapshot.digest.buckets(range.from, range.to);
      yield response({ case: 'head', value: rangeHead(clockOf(snapshot.reader), pinset.liveBytes(), digests) });
      const damaged = rowDamagedBuckets(pinset.scrub.findings().findings);
      const walk = new RangeWalk({ names: pinset.names, snapshot, damaged }, range);
      let bytes = 0;
      while (!walk.isDone) {
        signal.throwIfAborted();
        const isLast = bytes > RANGE_BYTES_MAX || clock.monotonicMs() - startMs > RANGE_TIME_MS;
        const message = walk.next(isLast);
        bytes += message.rows.length;
        yield response({ case: 'rows', value: create(RangeRowsSchema, message) });
      }
      if (walk.to === range.from) throw damagedHere(range.from);
      yield response({ case: 'end', value: create(RangeEndSchema, { to: walk.to }) });
    } catch (problem) {
      const unreadable = isPinfoldError(problem, 'DATA_CORRUPT') ? problem.details.facts?.pin_key : undefined;
      if (unreadable !== undefined) await pinset.scrub.check([bucketOf(Buffer.from(unreadable, 'hex'))]);
      throw problem;
    } finally {
      snapshot.close();
    }
  }
}

/** The alert is this peer's: it is its disk. */
function damagedHere(bucket: number): PinfoldError {
  mark('crdt rebuild: a source keeps damage to itself');
  const problem = `the disk of the source has changed or lost rows of bucket ${bucket}; run "pinfold store repair" there`;
  return new PinfoldError('DATA_CORRUPT', problem);
}

function checkRange({ from, to, digests, doubted }: MergeRangeRequest): void {
  if (from >= to || to > bucketCount || to - from > RANGE_BUCKETS_MAX) {
    const problem = `buckets ${from} to ${to}: at most ${RANGE_BUCKETS_MAX} of ${bucketCount}`;
    throw new PinfoldError('INVALID_ARGUMENT', problem);
  }
  if (digests.length > 0 && digests.length !== (to - from) * DIGEST_BYTES) {
    throw new PinfoldError('INVALID_ARGUMENT', `${digests.length} bytes of digests for ${to - from} buckets`);
  }
  if (doubted.length > DOUBTED_BUCKETS_MAX || doubted.some((bucket) => bucket >= bucketCount)) {
    throw new PinfoldError('INVALID_ARGUMENT', `doubted: at most ${DOUBTED_BUCKETS_MAX} of ${bucketCount}`);
  }
}

function response(message: MergeRangeResponse['message']): MergeRangeResponse {
  return create(MergeRangeResponseSchema, { message });
}

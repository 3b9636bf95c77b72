import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type GetBucketsRequest,
  type GetBucketsResponse,
  GetBucketsResponseSchema,
  type GetDigestsRequest,
  type GetDigestsResponse,
  GetDigestsResponseSchema,
} from '../../../../gen/pinfold/peer/v1/repair_pb.ts';
import { PinfoldError } from '../../../model/errors.ts';
import { parsePeerId } from '../../../model/peer-id.ts';
import { bucketCount } from '../../../model/pin-key.ts';
import type { PinsetSnapshot } from '../../../pinset/pinset.ts';
import { type BucketState, rowDamagedBuckets } from '../../../pinset/scrub/scrub.ts';
import { sumBytes } from '../../../pinset/scrub/sum.ts';
import type { Timers } from '../../../runtime/clock.ts';
import { clockEntry, clockMap, readClock } from '../codec/clock-entries.ts';
import { clockOf } from '../codec/range-head.ts';
import { RangeRowWriter } from '../codec/range-rows.ts';
import { BUCKETS_BYTES_MAX, DIGESTS_PER_MESSAGE, RANGE_MESSAGE_BYTES, REPAIRED_BUCKETS_MAX } from '../constants.ts';
import type { CrdtStore } from '../state/store.ts';
import { isLeftOut, leftOutBetween } from './left-out.ts';

export interface BucketServerNeeds {
  store: CrdtStore;
  timers: Timers;
}

/** What others need to compare with this peer: each answer from one flushed state, its clock first. */
export class BucketServer {
  readonly #needs: BucketServerNeeds;

  constructor(needs: BucketServerNeeds) {
    this.#needs = needs;
  }

  async *digests({ clock }: GetDigestsRequest, signal: AbortSignal): AsyncGenerator<GetDigestsResponse> {
    const theirs = clockMap(readClock(clock));
    const { scrub } = this.#needs.store.needs.pinset;
    const snapshot = await this.#needs.store.needs.pinset.snapshot();
    try {
      const leftOut = await this.#leftOut(snapshot, theirs, signal);
      const value = {
        clock: clockIn(snapshot),
        leftOut: leftOut === 'all' ? [] : [...leftOut],
        allLeftOut: leftOut === 'all',
        damaged: [...rowDamagedBuckets(scrub.findings().findings)],
      };
      yield digestsMessage({ case: 'head', value });
      for (let from = 0; from < bucketCount; from += DIGESTS_PER_MESSAGE) {
        signal.throwIfAborted();
        yield digestsMessage({ case: 'digests', value: snapshot.digest.buckets(from, from + DIGESTS_PER_MESSAGE) });
      }
    } finally {
      snapshot.close();
    }
  }

  async *buckets({ buckets, clock }: GetBucketsRequest, signal: AbortSignal): AsyncGenerator<GetBucketsResponse> {
    checkBuckets(buckets);
    const theirs = clockMap(readClock(clock));
    const { pinset } = this.#needs.store.needs;
    const snapshot = await pinset.snapshot();
    try {
      const leftOut = await this.#leftOut(snapshot, theirs, signal);
      const states = [];
      let bytes = 0;
      for (const bucket of buckets) {
        if (bytes >= BUCKETS_BYTES_MAX) break;
        const state = pinset.scrub.read(snapshot, bucket);
        for (const { key, row } of state.rows) for (const dot of row) bytes += key.length + dot.value.length + 64;
        states.push(state);
      }
      const value = {
        clock: clockIn(snapshot),
        leftOut: buckets.filter((bucket) => isLeftOut(leftOut, bucket)),
        digests: Buffer.concat(states.map(({ digest }) => sumBytes(digest))),
        unreadable: states.map(({ unreadable }) => unreadable.length),
      };
      yield bucketsMessage({ case: 'head', value });
      for (const rows of this.#rows(states)) {
        signal.throwIfAborted();
        yield rows;
      }
      yield bucketsMessage({ case: 'end', value: { answered: states.length } });
    } finally {
      snapshot.close();
    }
  }

  #leftOut(snapshot: PinsetSnapshot, theirs: ReadonlyMap<string, number>, signal: AbortSignal) {
    const { timers, store } = this.#needs;
    return leftOutBetween({ reader: snapshot.reader, other: theirs, store, timers, signal });
  }

  *#rows(states: readonly BucketState[]): Generator<GetBucketsResponse> {
    const { names } = this.#needs.store.needs.pinset;
    const writer = new RangeRowWriter();
    const message = () => {
      const { rows, rids, peers } = writer.take();
      const value = {
        rows,
        rids: rids.map((number) => names.replicas.name(number)),
        peers: peers.map((number) => parsePeerId(names.peers.name(number))),
      };
      return bucketsMessage({ case: 'rows', value });
    };
    for (const { rows } of states) {
      for (const { key, row } of rows) {
        writer.add(key, row);
        if (writer.bytes >= RANGE_MESSAGE_BYTES) yield message();
      }
    }
    if (writer.bytes > 0) yield message();
  }
}

/** Throws INVALID_ARGUMENT. */
export function checkBuckets(buckets: readonly number[]): void {
  const isOrdered = buckets.every(
    (bucket, i) => bucket < bucketCount && (i === 0 || bucket > (buckets[i - 1] as number)),
  );
  if (isOrdered && buckets.length > 0 && buckets.length <= REPAIRED_BUCKETS_MAX) return;
  throw new PinfoldError('INVALID_ARGUMENT', `buckets: 1 to ${REPAIRED_BUCKETS_MAX} of ${bucketCount}, in order`);
}

function clockIn(snapshot: PinsetSnapshot) {
  return clockOf(snapshot.reader).map(({ name, sequence, hash }) => clockEntry(name.rid, sequence, hash));
}

function digestsMessage(message: MessageInitShape<typeof GetDigestsResponseSchema>['message']): GetDigestsResponse {
  return create(GetDigestsResponseSchema, message === undefined ? {} : { message });
}

function bucketsMessage(message: MessageInitShape<typeof GetBucketsResponseSchema>['message']): GetBucketsResponse {
  return create(GetBucketsResponseSchema, message === undefined ? {} : { message });
}

import { create } from '@bufbuild/protobuf';
import {
  type MergeRangeRequest,
  type MergeRangeResponse,
  MergeRangeResponseSchema,
  RangeEndSchema,
  RangeRowsSchema,
} from '../../../../gen/pinfold/peer/v1/service_pb.ts';
import { PinfoldError } from '../../../model/errors.ts';
import { parsePeerId } from '../../../model/peer-id.ts';
import type { PinKey } from '../../../model/pin.ts';
import { bucketCount, bucketOf } from '../../../model/pin-key.ts';
import type { PinRow, PinsetSnapshot } from '../../../pinset/pinset.ts';
import { clockOf, rangeHead } from '../codec/range-head.ts';
import { RangeRowWriter } from '../codec/range-rows.ts';
import { RANGE_BUCKETS_MAX, RANGE_BYTES_MAX, RANGE_MESSAGE_BYTES, RANGE_TIME_MS } from '../constants.ts';
import type { CrdtStore } from '../state/store.ts';

/**
 * B1, the source: one flushed snapshot, its clock, then its rows; it ends after any bucket, at 64 MiB or 30 s at the latest.
 * The caller's digests are not compared yet: all buckets come as rows, which is always right.
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
    const { from, to } = request;
    if (from >= to || to > bucketCount || to - from > RANGE_BUCKETS_MAX) {
      throw new PinfoldError(
        'INVALID_ARGUMENT',
        `buckets ${from} to ${to}: at most ${RANGE_BUCKETS_MAX} of ${bucketCount}`,
      );
    }
    if (this.#served >= this.#servedMax)
      throw new PinfoldError('LIMIT_REACHED', 'this peer serves as many ranges as it can');
    this.#served++;
    try {
      yield* this.#rows(from, to, context.signal);
    } finally {
      this.#served--;
    }
  }

  async *#rows(from: number, to: number, signal: AbortSignal): AsyncGenerator<MergeRangeResponse> {
    const { pinset, clock } = this.#store.needs;
    const startMs = clock.monotonicMs();
    const snapshot = await pinset.snapshot();
    try {
      yield response({ case: 'head', value: rangeHead(clockOf(snapshot.reader)) });
      const walk = new RangeWalk(this.#store, snapshot, from, to);
      let bytes = 0;
      while (!walk.isDone) {
        signal.throwIfAborted();
        const isLast = bytes > RANGE_BYTES_MAX || clock.monotonicMs() - startMs > RANGE_TIME_MS;
        const rows = walk.next(isLast);
        bytes += rows.rows.length;
        yield response({ case: 'rows', value: create(RangeRowsSchema, rows) });
      }
      yield response({ case: 'end', value: create(RangeEndSchema, { to: walk.to }) });
    } finally {
      snapshot.close();
    }
  }
}

/** Goes through the rows of a range, a message at a time: iterators must not live over an await. */
class RangeWalk {
  readonly #store: CrdtStore;
  readonly #snapshot: PinsetSnapshot;
  readonly #writer = new RangeRowWriter();
  readonly #from: number;
  /** Buckets below are complete when it is done. */
  to: number;
  #after: PinKey | undefined;
  isDone = false;

  constructor(store: CrdtStore, snapshot: PinsetSnapshot, from: number, to: number) {
    this.#store = store;
    this.#snapshot = snapshot;
    this.#from = from;
    this.to = to;
  }

  /** The next rows; with `endSoon` those up to the end of the bucket, and it is done. */
  next(endSoon: boolean): { rids: Uint8Array[]; peers: Uint8Array[]; rows: Uint8Array } {
    if (endSoon && this.#after !== undefined) this.to = Math.min(this.to, bucketOf(this.#after) + 1);
    const from = this.#after === undefined ? this.#from : bucketOf(this.#after);
    this.isDone = true;
    for (const { key, row } of this.#iterate(from)) {
      this.#writer.add(key, row);
      if (this.#writer.bytes < RANGE_MESSAGE_BYTES) continue;
      this.#after = key;
      this.isDone = false;
      break;
    }
    const { rows, rids, peers } = this.#writer.take();
    const { names } = this.#store.needs.pinset;
    return {
      rows,
      rids: rids.map((number) => names.replicas.name(number)),
      peers: peers.map((number) => parsePeerId(names.peers.name(number))),
    };
  }

  #iterate(from: number): Iterable<{ key: PinKey; row: PinRow }> {
    return this.#after === undefined
      ? this.#snapshot.rows(from, this.to)
      : this.#snapshot.rows(from, this.to, this.#after);
  }
}

function response(message: MergeRangeResponse['message']): MergeRangeResponse {
  return create(MergeRangeResponseSchema, { message });
}

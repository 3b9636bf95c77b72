import { equalBytes } from '../../../model/bytes.ts';
import { parsePeerId } from '../../../model/peer-id.ts';
import type { PinKey } from '../../../model/pin.ts';
import { bucketOf } from '../../../model/pin-key.ts';
import { DIGEST_BYTES } from '../../../pinset/codec/feed-row.ts';
import type { Names, PinsetSnapshot } from '../../../pinset/pinset.ts';
import { RangeRowWriter } from '../codec/range-rows.ts';
import { RANGE_MESSAGE_BYTES } from '../constants.ts';

export interface RangeMessage {
  rids: Uint8Array[];
  peers: Uint8Array[];
  rows: Uint8Array;
  equalBuckets: number[];
}

/** Goes through the buckets of a range, a message at a time: iterators must not live over an await. */
export class RangeWalk {
  readonly #names: Names;
  readonly #snapshot: PinsetSnapshot;
  readonly #writer = new RangeRowWriter();
  readonly #from: number;
  /** The caller's, 16 bytes a bucket; empty: it has no rows there. */
  readonly #digests: Uint8Array;
  readonly #damaged: ReadonlySet<number>;
  /** Buckets below are complete when it is done. */
  to: number;
  #bucket: number;
  /** Last row of `#bucket` that was written. */
  #after: PinKey | undefined;
  #equal: number[] = [];
  isDone = false;

  /** Rows of buckets that are known to be damaged are handed to nobody: the range ends before. */
  constructor(
    { names, snapshot, damaged }: { names: Names; snapshot: PinsetSnapshot; damaged: ReadonlySet<number> },
    { from, to, digests }: RangeOfBuckets,
  ) {
    this.#names = names;
    this.#snapshot = snapshot;
    this.#damaged = damaged;
    this.#from = this.#bucket = from;
    this.to = to;
    this.#digests = digests;
  }

  /** The next message; with `endSoon` what is left of the bucket, and it is done. */
  next(endSoon: boolean): RangeMessage {
    if (endSoon) this.to = Math.min(this.to, this.#bucket + 1);
    while (this.#bucket < this.to) if (!this.#run()) break;
    this.isDone = this.#bucket >= this.to;
    const { rows, rids, peers } = this.#writer.take();
    const equalBuckets = this.#equal;
    this.#equal = [];
    const { replicas, peers: peerNames } = this.#names;
    return {
      rows,
      equalBuckets,
      rids: rids.map((number) => replicas.name(number)),
      peers: peers.map((number) => parsePeerId(peerNames.name(number))),
    };
  }

  /** An equal bucket, or those up to the next that is; false: the message is full. */
  #run(): boolean {
    if (this.#isEqual(this.#bucket)) {
      this.#equal.push(this.#bucket++);
      return true;
    }
    if (this.#damaged.has(this.#bucket)) {
      this.to = this.#bucket;
      return false;
    }
    let end = this.#bucket + 1;
    while (end < this.to && !this.#isEqual(end) && !this.#damaged.has(end)) end++;
    if (!this.#write(end)) return false;
    this.#bucket = end;
    this.#after = undefined;
    return true;
  }

  #write(end: number): boolean {
    for (const { key, row } of this.#snapshot.rows(this.#bucket, end, this.#after)) {
      this.#writer.add(key, row);
      if (this.#writer.bytes < RANGE_MESSAGE_BYTES) continue;
      this.#after = key;
      this.#bucket = bucketOf(key);
      return false;
    }
    return true;
  }

  #isEqual(bucket: number): boolean {
    if (this.#digests.length === 0) return false;
    const at = (bucket - this.#from) * DIGEST_BYTES;
    return equalBytes(this.#snapshot.digest.bucket(bucket), this.#digests.subarray(at, at + DIGEST_BYTES));
  }
}

export interface RangeOfBuckets {
  from: number;
  to: number;
  digests: Uint8Array;
}

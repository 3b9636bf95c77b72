import { BucketSum } from '../../../pinset/bucket-sum.ts';
import { DIGEST_BYTES } from '../../../pinset/codec/feed-row.ts';
import { Malformed } from '../../../pinset/codec/reader.ts';
import type { Names } from '../../../pinset/pinset.ts';
import { rowHashString } from '../../../pinset/row-hash.ts';
import type { RangeRow } from '../codec/range-rows.ts';
import { TheirDamage } from './problems.ts';

/** Holds the rows of a source, bucket by bucket as they come, against the digests that it says they have. */
export class RangeCheck {
  readonly #names: Names;
  readonly #from: number;
  readonly #digests: Uint8Array;
  readonly #sum = new BucketSum();
  #bucket: number;

  /** Throws Malformed. */
  constructor(names: Names, { from, to, digests }: { from: number; to: number; digests: Uint8Array }) {
    if (digests.length !== (to - from) * DIGEST_BYTES) throw new Malformed('not a digest for each bucket of the range');
    this.#names = names;
    this.#from = this.#bucket = from;
    this.#digests = digests;
  }

  /** The next row, in key order; answers its hash. Throws TheirDamage. */
  row(bucket: number, { key, row }: RangeRow): string {
    this.upTo(bucket);
    const hash = rowHashString(this.#names, key, row);
    this.#sum.add(hash);
    return hash;
  }

  /** No rows come of that one: the caller has them. */
  equal(bucket: number): void {
    this.upTo(bucket);
    this.#bucket = bucket + 1;
  }

  /** All rows of the buckets below have come. Throws TheirDamage. */
  upTo(bucket: number): void {
    for (; this.#bucket < bucket; this.#bucket++) {
      if (!this.#sum.equals(this.#digests, (this.#bucket - this.#from) * DIGEST_BYTES))
        throw new TheirDamage(this.#bucket);
      this.#sum.clear();
    }
  }
}

import { bucketOf } from '../../../model/pin-key.ts';
import type { TransactionRows } from '../core/rows.ts';

/** A watch: the buckets that were touched since it began. */
export interface TouchWatch {
  has(bucket: number): boolean;
  end(): void;
}

/** Which buckets operations touch, also those that change no row, while somebody wants to know. */
export class TouchedBuckets {
  readonly #watches = new Set<Set<number>>();

  watch(): TouchWatch {
    const touched = new Set<number>();
    this.#watches.add(touched);
    return { has: (bucket) => touched.has(bucket), end: () => this.#watches.delete(touched) };
  }

  /** Rows of a transaction, when they are written: one that fails has touched nothing, and must not keep a repair away. */
  note(rows: TransactionRows): void {
    if (this.#watches.size > 0) for (const key of rows.keys()) this.noteBucket(bucketOf(key));
  }

  noteBucket(bucket: number): void {
    for (const touched of this.#watches) touched.add(bucket);
  }
}

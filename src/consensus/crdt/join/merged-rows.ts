import { compareBytes } from '../../../model/bytes.ts';
import { bucketOf } from '../../../model/pin-key.ts';
import { Malformed } from '../../../pinset/codec/reader.ts';
import type { RangeRow } from '../codec/range-rows.ts';
import { type Covered, emptyRowOf, merge } from '../core/merge.ts';
import type { Rids } from '../core/types.ts';

export interface MergeInput {
  /** Own rows of the range, in key order, and the clock of the same flushed state. */
  mine: readonly RangeRow[];
  cm: Covered;
  ct: Covered;
  rids: Rids;
  from: number;
  to: number;
}

/** Merges the source's rows, as they come in key order, with the own ones (B2). Throws Malformed for rows out of order. */
export class MergedRows {
  readonly #input: MergeInput;
  #nextMine = 0;
  #last: Uint8Array | undefined;
  /** Merged, and not taken yet. */
  #rows: RangeRow[] = [];

  constructor(input: MergeInput) {
    this.#input = input;
  }

  get count(): number {
    return this.#rows.length;
  }

  add(theirs: readonly RangeRow[]): void {
    for (const row of theirs) {
      this.#check(row.key);
      this.#takeMine((mine) => compareBytes(mine, row.key) < 0);
      const mine = this.#input.mine[this.#nextMine];
      const isSame = mine !== undefined && compareBytes(mine.key, row.key) === 0;
      if (isSame) this.#nextMine++;
      this.#push(row.key, isSame ? mine.row : emptyRowOf, row.row);
    }
  }

  /** All rows of buckets that are complete: those before the bucket of the last row. */
  takeComplete(): { rows: RangeRow[]; toBucket: number } {
    const last = this.#rows.at(-1);
    if (last === undefined) return { rows: [], toBucket: this.#input.from };
    const toBucket = bucketOf(last.key);
    let end = this.#rows.length;
    while (end > 0 && bucketOf((this.#rows[end - 1] as RangeRow).key) === toBucket) end--;
    return { rows: this.#rows.splice(0, end), toBucket };
  }

  /** The rest, when the source has ended with buckets below `to` complete. */
  takeRest(to: number): RangeRow[] {
    this.#takeMine((mine) => bucketOf(mine) < to);
    return this.#rows.splice(0);
  }

  #takeMine(isDue: (key: Uint8Array) => boolean): void {
    const { mine } = this.#input;
    for (let next = mine[this.#nextMine]; next !== undefined && isDue(next.key); next = mine[++this.#nextMine]) {
      this.#push(next.key, next.row, emptyRowOf);
    }
  }

  #push(key: Uint8Array, mine: RangeRow['row'], theirs: RangeRow['row']): void {
    const { cm, ct, rids } = this.#input;
    const row = merge(mine, cm, theirs, ct, rids);
    if (row.length > 0) this.#rows.push({ key, row });
  }

  #check(key: Uint8Array): void {
    const { from, to } = this.#input;
    const bucket = bucketOf(key);
    if (bucket < from || bucket >= to) throw new Malformed('a row outside the range');
    if (this.#last !== undefined && compareBytes(this.#last, key) >= 0) throw new Malformed('rows out of order');
    this.#last = key;
  }
}

import { compareBytes } from '../../../model/bytes.ts';
import type { PinKey } from '../../../model/pin.ts';
import { bucketOf } from '../../../model/pin-key.ts';
import { Malformed } from '../../../pinset/codec/reader.ts';
import type { PinRow } from '../../../pinset/pinset.ts';
import type { RangeRow } from '../codec/range-rows.ts';
import { SHADOW_ROWS_PER_TRANSACTION } from '../constants.ts';
import { type Covered, emptyRowOf, merge } from '../core/merge.ts';
import type { Rids } from '../core/types.ts';
import type { OwnRows } from './own-rows.ts';
import type { RangeCheck } from './range-check.ts';

export interface MergeInput {
  /** Own rows of the range, and the clock of the same flushed state (fault equal-from-later). */
  mine: Pick<OwnRows, 'next' | 'take'>;
  /** They say nothing: theirs are taken as they are. Ct must cover Cm. */
  isMineDamaged?: boolean;
  /** Of theirs. */
  check: Pick<RangeCheck, 'row' | 'equal' | 'upTo'>;
  cm: Covered;
  ct: Covered;
  rids: Rids;
  from: number;
  to: number;
}

/** What goes into one transaction: whole buckets, up to `toBucket`. */
export interface MergedPiece {
  readonly rows: readonly RangeRow[];
  /** Keys whose merged row is not mine. */
  readonly changed: readonly PinKey[];
  readonly toBucket: number;
}

/**
 * Merges the source's answer, as it comes in key order, with the own rows (B2). However many rows either side has, some thousands
 * are in memory: pieces are to be taken before the next is asked for. Throws Malformed for an answer out of order.
 */
export class MergedRows {
  readonly #input: MergeInput;
  #rows: RangeRow[] = [];
  #changed: PinKey[] = [];
  /** Buckets below are complete. */
  #bucket: number;
  #lastKey: PinKey | undefined;

  constructor(input: MergeInput) {
    this.#input = input;
    this.#bucket = input.from;
  }

  /** One message: rows of theirs, and buckets whose rows are mine, both ascending. */
  *add(theirs: readonly RangeRow[], equal: readonly number[]): Generator<MergedPiece> {
    let e = 0;
    for (const their of theirs) {
      const { key, row } = their;
      const bucket = bucketOf(key);
      for (; e < equal.length && (equal[e] as number) <= bucket; e++) yield* this.#equal(equal[e] as number);
      this.#checkOrder(key, bucket);
      const hash = this.#input.check.row(bucket, their);
      if (bucket > this.#bucket) yield* this.#reach(bucket);
      this.#mineBefore(key);
      this.#addTheirs(key, row, hash);
    }
    for (; e < equal.length; e++) yield* this.#equal(equal[e] as number);
  }

  /** The source has ended with buckets below `to` complete. */
  *end(to: number): Generator<MergedPiece> {
    if (to <= this.#input.from || to > this.#input.to || to < this.#bucket) {
      throw new Malformed('a range that ends outside itself');
    }
    this.#input.check.upTo(to);
    yield* this.#reach(to);
    yield this.#take();
  }

  #addTheirs(key: PinKey, row: PinRow, hash: string): void {
    const { mine } = this.#input;
    const own = mine.next;
    const isMine = own !== undefined && compareBytes(own.key, key) === 0;
    if (isMine) mine.take();
    this.#push(key, isMine ? own.row : emptyRowOf, row, hash);
  }

  /** Whatever I have of the buckets below; a piece whenever there is enough for one. */
  *#reach(bucket: number): Generator<MergedPiece> {
    const { mine } = this.#input;
    for (let own = mine.next; own !== undefined; own = mine.next) {
      const ownBucket = bucketOf(own.key);
      if (ownBucket >= bucket) break;
      if (ownBucket > this.#bucket) {
        this.#bucket = ownBucket;
        if (this.#isEnough) yield this.#take();
      }
      mine.take();
      this.#push(own.key, own.row, emptyRowOf);
    }
    this.#bucket = bucket;
    if (this.#isEnough) yield this.#take();
  }

  *#equal(bucket: number): Generator<MergedPiece> {
    if (bucket < this.#bucket || bucket >= this.#input.to || this.#lastBucket >= bucket) {
      throw new Malformed('equal buckets out of order');
    }
    this.#input.check.equal(bucket);
    yield* this.#reach(bucket);
    const { mine } = this.#input;
    for (let own = mine.next; own !== undefined && bucketOf(own.key) === bucket; own = mine.next) {
      mine.take();
      this.#rows.push(own);
    }
    this.#bucket = bucket + 1;
    if (this.#isEnough) yield this.#take();
  }

  #mineBefore(key: PinKey): void {
    const { mine } = this.#input;
    for (let own = mine.next; own !== undefined && compareBytes(own.key, key) < 0; own = mine.next) {
      mine.take();
      this.#push(own.key, own.row, emptyRowOf);
    }
  }

  #push(key: PinKey, own: PinRow, theirs: PinRow, hash?: string): void {
    const { isMineDamaged, cm, ct, rids } = this.#input;
    const row = isMineDamaged ? theirs : merge(own, cm, theirs, ct, rids);
    if (row.length > 0) this.#rows.push(row === theirs ? { key, row, hash } : { key, row });
    if (!isSame(own, row)) this.#changed.push(key);
  }

  get #isEnough(): boolean {
    return this.#rows.length >= SHADOW_ROWS_PER_TRANSACTION;
  }

  get #lastBucket(): number {
    return this.#lastKey === undefined ? -1 : bucketOf(this.#lastKey);
  }

  #take(): MergedPiece {
    const piece = { rows: this.#rows, changed: this.#changed, toBucket: this.#bucket };
    this.#rows = [];
    this.#changed = [];
    return piece;
  }

  #checkOrder(key: PinKey, bucket: number): void {
    if (bucket < this.#bucket || bucket >= this.#input.to) throw new Malformed('a row outside the range');
    if (this.#lastKey !== undefined && compareBytes(this.#lastKey, key) >= 0) throw new Malformed('rows out of order');
    this.#lastKey = key;
  }
}

/** `merge` hands out my dots as they are where nothing of them changed. */
function isSame(mine: PinRow, merged: PinRow): boolean {
  return mine.length === merged.length && mine.every((dot, i) => dot === merged[i]);
}

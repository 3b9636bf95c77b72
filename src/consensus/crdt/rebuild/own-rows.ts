import { bucketOf } from '../../../model/pin-key.ts';
import type { PinsetSnapshot } from '../../../pinset/pinset.ts';
import type { RangeRow } from '../codec/range-rows.ts';
import { OWN_ROWS_READ_TOGETHER } from '../constants.ts';

/** The rows of a range of one snapshot, one after the other in key order: a few of them in memory, however many there are. */
export class OwnRows {
  readonly #snapshot: Pick<PinsetSnapshot, 'rows'>;
  readonly #to: number;
  #from: number;
  #buffer: RangeRow[] = [];
  #at = 0;
  #isAtEnd = false;

  constructor(snapshot: Pick<PinsetSnapshot, 'rows'>, from: number, to: number) {
    this.#snapshot = snapshot;
    this.#from = from;
    this.#to = to;
  }

  /** The next row, which stays the next until `take`. */
  get next(): RangeRow | undefined {
    if (this.#at >= this.#buffer.length && !this.#isAtEnd) this.#read();
    return this.#buffer[this.#at];
  }

  take(): void {
    this.#at++;
  }

  /** Iterators must not live over an await: so a piece at a time. */
  #read(): void {
    const last = this.#buffer.at(-1)?.key;
    if (last !== undefined) this.#from = bucketOf(last);
    this.#buffer = [];
    this.#at = 0;
    for (const row of this.#snapshot.rows(this.#from, this.#to, last)) {
      this.#buffer.push(row);
      if (this.#buffer.length === OWN_ROWS_READ_TOGETHER) return;
    }
    this.#isAtEnd = true;
  }
}

import type { PinsetSnapshot } from '../../../pinset/pinset.ts';
import { isSound, type Scrub } from '../../../pinset/scrub/scrub.ts';
import type { RangeRow } from '../codec/range-rows.ts';
import { OWN_ROWS_READ_TOGETHER } from '../constants.ts';
import { OwnDamage } from './problems.ts';

export interface OwnRowsInit {
  scrub: Pick<Scrub, 'states'>;
  snapshot: PinsetSnapshot;
  from: number;
  to: number;
  /** It is known that they are not what the digest says: those that can be read. */
  isDamaged: boolean;
}

/** The rows of a range of one snapshot, one after the other in key order: a few of them in memory, however many there are. */
export class OwnRows {
  readonly #init: OwnRowsInit;
  #from: number;
  #buffer: RangeRow[] = [];
  #at = 0;

  constructor(init: OwnRowsInit) {
    this.#init = init;
    this.#from = init.from;
  }

  /** The next row, which stays the next until `take`. Throws OwnDamage. */
  get next(): RangeRow | undefined {
    while (this.#at >= this.#buffer.length && this.#from < this.#init.to) this.#read();
    return this.#buffer[this.#at];
  }

  take(): void {
    this.#at++;
  }

  /** Iterators must not live over an await: so a piece at a time. */
  #read(): void {
    const { scrub, snapshot, to, isDamaged } = this.#init;
    this.#buffer = [];
    this.#at = 0;
    for (const state of scrub.states(snapshot, { from: this.#from, to, rowsMax: OWN_ROWS_READ_TOGETHER })) {
      if (!isDamaged && !isSound(state)) throw new OwnDamage(state.bucket);
      this.#buffer.push(...state.rows);
      this.#from = state.bucket + 1;
    }
  }
}

import { compareBytes } from '../model/bytes.ts';
import { SORTED_RUN_ENTRIES } from './constants.ts';
import { SortedRun } from './sorted-run.ts';

/**
 * Index entries, added in any order and taken in theirs: sorted in runs as they come, which keeps nobody waiting for long, and merged as
 * they are taken. Nothing may be added after the first is taken.
 */
export class SortedEntries {
  readonly #runEntries: number;
  readonly #runs: SortedRun[] = [];
  #open = new SortedRun();

  /** At most SORTED_RUN_ENTRIES. */
  constructor(runEntries = SORTED_RUN_ENTRIES) {
    this.#runEntries = runEntries;
  }

  /** Copies it. */
  add(entry: Uint8Array): void {
    this.#open.add(entry);
    if (this.#open.length >= this.#runEntries) this.#endRun();
  }

  /** The least of those left; undefined: none is. */
  take(): Uint8Array | undefined {
    if (this.#open.length > 0) this.#endRun();
    const [first, ...others] = this.#runs;
    let least = first;
    for (const run of others) {
      if (least?.head === undefined || (run.head !== undefined && compareBytes(run.head, least.head) < 0)) least = run;
    }
    return least?.take();
  }

  #endRun(): void {
    this.#open.sort();
    this.#runs.push(this.#open);
    this.#open = new SortedRun();
  }
}

import { SORTED_RUN_ENTRIES } from './constants.ts';

/**
 * Index entries, added in any order and taken in theirs: sorted in runs as they come, which keeps nobody waiting for long, and merged when
 * the first is taken. Nothing may be added after that.
 */
export class SortedEntries {
  #open: Uint8Array[] = [];
  readonly #runs: Uint8Array[][] = [];
  #merged: Uint8Array[] | undefined;
  #at = 0;

  add(entry: Uint8Array): void {
    this.#open.push(entry);
    if (this.#open.length >= SORTED_RUN_ENTRIES) this.#endRun();
  }

  /** The least of those left; undefined: none is. */
  take(): Uint8Array | undefined {
    this.#merged ??= this.#merge();
    return this.#merged[this.#at++];
  }

  #endRun(): void {
    this.#runs.push(this.#open.sort(compare));
    this.#open = [];
  }

  /** The sort of the language finds the runs and merges them. */
  #merge(): Uint8Array[] {
    this.#endRun();
    return this.#runs.splice(0).flat().sort(compare);
  }
}

/** As Buffer.compare, which costs three times as much for entries of some dozens of bytes: a million of them are compared. */
function compare(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

import { SORTED_RUN_ENTRIES } from './constants.ts';

/**
 * Index entries, added in any order and taken in theirs: sorted in runs as they come, which keeps nobody waiting for long, and merged when
 * the first is taken. Nothing may be added after that.
 */
export class SortedEntries {
  readonly #runEntries: number;
  #open: Uint8Array[] = [];
  readonly #runs: Uint8Array[][] = [];
  #merged: Uint8Array[] | undefined;
  #at = 0;

  /** At most SORTED_RUN_ENTRIES. */
  constructor(runEntries = SORTED_RUN_ENTRIES) {
    this.#runEntries = runEntries;
  }

  add(entry: Uint8Array): void {
    this.#open.push(entry);
    if (this.#open.length >= this.#runEntries) this.#endRun();
  }

  /** The least of those left; undefined: none is. */
  take(): Uint8Array | undefined {
    this.#merged ??= this.#merge();
    return this.#merged[this.#at++];
  }

  #endRun(): void {
    this.#runs.push(sorted(this.#open));
    this.#open = [];
  }

  /** The sort of the language finds the runs and merges them. */
  #merge(): Uint8Array[] {
    this.#endRun();
    const runs = this.#runs.splice(0);
    return runs.length === 1 ? (runs[0] as Uint8Array[]) : runs.flat().sort(compare);
  }
}

/** Bytes of an entry in the number that stands for it, one of them in part. */
const PREFIX_BYTES = 6;
/** The lowest bits of the number are the place of the entry. */
const PLACE_BITS = 17;
const PLACE_MASK = 2 ** PLACE_BITS - 1;

/**
 * Numbers are sorted outside of JavaScript, in a tenth of the time: for each entry the first bits in which any of them differ, and its
 * place. Only those that agree in them are compared as they are.
 */
function sorted(entries: readonly Uint8Array[]): Uint8Array[] {
  const numbers = new BigUint64Array(entries.length);
  const halves = new Uint32Array(numbers.buffer);
  const [a, b, c, d, e, f] = placesThatDiffer(entries);
  for (const [i, entry] of entries.entries()) {
    // Of a place behind the end of an entry, or that there is not, comes a zero.
    halves[2 * i + 1] = ((entry[a] ?? 0) << 24) | ((entry[b] ?? 0) << 16) | ((entry[c] ?? 0) << 8) | (entry[d] ?? 0);
    halves[2 * i] = ((((entry[e] ?? 0) << 24) | ((entry[f] ?? 0) << 16)) & ~PLACE_MASK) | i;
  }
  numbers.sort();
  const result: Uint8Array[] = [];
  for (let i = 0; i < halves.length; i += 2) result.push(entries[(halves[i] as number) & PLACE_MASK] as Uint8Array);
  for (let from = 0, to = 1; to <= result.length; to++) {
    if (to < result.length && samePrefix(halves, from, to)) continue;
    if (to - from > 1) sortPart(result, from, to);
    from = to;
  }
  return result;
}

type Places = [number, number, number, number, number, number];

function placesThatDiffer(entries: readonly Uint8Array[]): Places {
  const places: number[] = [];
  const first = entries[0] ?? new Uint8Array(0);
  for (let place = 0; place < first.length && places.length < PREFIX_BYTES; place++) {
    const byte = first[place];
    if (entries.some((entry) => entry[place] !== byte)) places.push(place);
  }
  while (places.length < PREFIX_BYTES) places.push(Number.MAX_SAFE_INTEGER);
  return places as Places;
}

function samePrefix(halves: Uint32Array, i: number, j: number): boolean {
  const differing = (halves[2 * i] as number) ^ (halves[2 * j] as number);
  return halves[2 * i + 1] === halves[2 * j + 1] && (differing & ~PLACE_MASK) === 0;
}

function sortPart(entries: Uint8Array[], from: number, to: number): void {
  for (const [i, entry] of entries.slice(from, to).sort(compare).entries()) entries[from + i] = entry;
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

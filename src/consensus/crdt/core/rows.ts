import { byteString, compareBytes, equalBytes } from '../../../model/bytes.ts';
import type { PinKey } from '../../../model/pin.ts';
import type { LiveDot, PinRow, RowChange } from '../../../pinset/pinset.ts';
import type { Rids } from './types.ts';

export const emptyRow: PinRow = [];

/** A key as it was before a transaction, and as it is now inside it. */
export interface RowEntry {
  readonly key: PinKey;
  before: PinRow;
  after: PinRow;
}

/**
 * The rows that one transaction touches: read once, changed in memory, written together. Keys begin with a hash, so their first 30 bits
 * tell nearly all of them apart, and no key has to become a string.
 */
export class TransactionRows {
  readonly #byPrefix = new Map<number, RowEntry>();
  /** Whose prefix another key had before. */
  readonly #others = new Map<string, RowEntry>();

  entry(key: PinKey, read: (key: PinKey) => PinRow): RowEntry {
    const prefix = prefixOf(key);
    const first = this.#byPrefix.get(prefix);
    if (first === undefined) return added(this.#byPrefix, prefix, key, read);
    if (equalBytes(first.key, key)) return first;
    const text = byteString(key);
    return this.#others.get(text) ?? added(this.#others, text, key, read);
  }

  /** Of all rows that were read, changed or not. */
  *keys(): Generator<PinKey> {
    for (const { key } of this.#byPrefix.values()) yield key;
    for (const { key } of this.#others.values()) yield key;
  }

  changes(): RowChange[] {
    return this.#entries(({ before, after }) => after !== before && before.length + after.length > 0);
  }

  /**
   * Also what has no row, before and after: if a disk lost it, others may have been told of it, and it is gone for them only when the
   * feed names it.
   */
  changesAndAbsent(): RowChange[] {
    return this.#entries(({ before, after }) => after !== before || after.length === 0);
  }

  #entries(isWanted: (entry: RowEntry) => boolean): RowChange[] {
    const wanted: RowChange[] = [];
    for (const entry of this.#byPrefix.values()) if (isWanted(entry)) wanted.push(entry);
    for (const entry of this.#others.values()) if (isWanted(entry)) wanted.push(entry);
    return wanted;
  }
}

function added<K>(to: Map<K, RowEntry>, at: K, key: PinKey, read: (key: PinKey) => PinRow): RowEntry {
  const row = read(key);
  const entry = { key, before: row, after: row };
  to.set(at, entry);
  return entry;
}

/** A small integer to V8, which a Map finds fastest. */
function prefixOf(key: PinKey): number {
  return (
    ((key[0] as number) << 22) | ((key[1] as number) << 14) | ((key[2] as number) << 6) | ((key[3] as number) >> 2)
  );
}

/** Dots of a key as pairs (local number of the replica, sequence), flat. */
export type Dots = readonly number[];

export function dotsOf(row: PinRow): number[] {
  const dots: number[] = [];
  for (const dot of row) dots.push(dot.replica, dot.sequence);
  return dots;
}

function sees(dots: Dots, dot: LiveDot): boolean {
  for (let i = 0; i < dots.length; i += 2) {
    if (dots[i] === dot.replica && dots[i + 1] === dot.sequence) return true;
  }
  return false;
}

/** R6, UNPIN: live(key) -= sees. */
export function withoutSeen(row: PinRow, seen: Dots): PinRow {
  if (row.length === 0 || seen.length === 0) return row;
  const rest = row.filter((dot) => !sees(seen, dot));
  return rest.length === row.length ? row : rest;
}

/** R6, PIN: live(key) -= sees; live(key) += dot. Taking in a dot again changes nothing (B3). */
export function withPin(row: PinRow, seen: Dots, dot: LiveDot): PinRow {
  if (row.length === 0) return [dot];
  const rest = withoutSeen(row, seen);
  if (rest.length === 0) return [dot];
  if (rest.some((other) => other.replica === dot.replica && other.sequence === dot.sequence)) return rest;
  return [...rest, dot].sort(byDot);
}

/** R6, AMEND: for each d both seen and live: placement(d) := the greater of the two. */
export function withAmendment(row: PinRow, seen: Dots, placement: Placement, rids: Rids): PinRow {
  let changed = false;
  const after = row.map((dot) => {
    if (!sees(seen, dot) || !isGreaterPlacement(placement, dot, rids)) return dot;
    changed = true;
    return withPlacement(dot, placement);
  });
  return changed ? after : row;
}

/** The placement register of a dot (section 2): its stamp, who wrote it, and where the pin lies. */
export type Placement = Pick<LiveDot, 'placementStamp' | 'placementReplica' | 'allocations'>;

export function withPlacement(dot: LiveDot, { placementStamp, placementReplica, allocations }: Placement): LiveDot {
  return { ...dot, placementStamp, placementReplica, allocations };
}

/** By (stamp, rid): the same order at every peer. */
export function isGreaterPlacement(a: Placement, b: Placement, rids: Rids): boolean {
  if (a.placementStamp !== b.placementStamp) return a.placementStamp > b.placementStamp;
  if (a.placementReplica === b.placementReplica) return false;
  return compareBytes(rids.name(a.placementReplica), rids.name(b.placementReplica)) > 0;
}

/** The order of dots in a row. */
export function byDot(a: LiveDot, b: LiveDot): number {
  return a.replica - b.replica || a.sequence - b.sequence;
}

/** The greatest stamp of a key's live dots and placements (5.1). */
export function greatestStamp(row: PinRow): number {
  let greatest = 0;
  for (const dot of row) greatest = Math.max(greatest, dot.stamp, dot.placementStamp);
  return greatest;
}

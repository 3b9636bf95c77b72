import { compareBytes } from '../model/bytes.ts';
import type { PinKey } from '../model/pin.ts';
import { bucketOf, checkPinKey } from '../model/pin-key.ts';
import type { TableName, Transaction } from '../storage/storage.ts';
import { DIGEST_BYTES, feedRow } from './codec/feed-row.ts';
import { encodePinRow } from './codec/pin-row.ts';
import type { DigestSums } from './digest-sums.ts';
import { writeDifference } from './digest-sums.ts';
import type { Indexer } from './indexer.ts';
import type { Mending, Names, PinRow, RowChange } from './pinset.ts';
import { rowHashString, shownDot } from './row-hash.ts';
import type { TableSet } from './tables.ts';

/**
 * Puts the rows and index entries of changes, in key order (neighbours lie on one page), and fills the feed row with their keys, also
 * of those without a row before and after, and digest changes. If it throws, nothing but the transaction has been touched.
 */
export function writeRows(
  tx: Transaction,
  set: TableSet,
  names: Names,
  indexer: Indexer | undefined,
  changes: readonly RowChange[],
): WrittenRows {
  const sorted = inKeyOrder(changes);
  const buckets: number[] = [];
  const places: number[] = [];
  const created: Uint8Array[] = [];
  const entries = {
    put: (table: TableName, entry: Uint8Array) => {
      if (table === set.byCreated) created.push(entry);
      else tx.put(table, entry, nothing);
    },
    remove: (table: TableName, entry: Uint8Array) => tx.remove(table, entry),
  };
  feedRow.begin();
  for (const { key, before, after, hash } of sorted) {
    if (after.length > 0) tx.put(set.pins, key, encodePinRow(after));
    else if (before.length > 0) tx.remove(set.pins, key);
    indexer?.update(set, key, shownDot(names, before), shownDot(names, after), entries);
    const place = feedRow.add(key);
    writeDifference(feedRow.bytes(), place, hash ?? hashOf(names, key, after), hashOf(names, key, before));
    buckets.push(bucketOf(key));
    places.push(place);
  }
  // Sorted, new pins are appended to full pages: two thirds of the space.
  for (const entry of created.sort(compareBytes)) tx.put(set.byCreated, entry, nothing);
  return { buckets, places };
}

/**
 * The same where some rows cannot be read: what their hash and their index entries were is not known, so the digest gains what is
 * written, and entries of theirs may stay behind.
 */
export function mendRows(
  tx: Transaction,
  set: TableSet,
  names: Names,
  indexer: Indexer | undefined,
  { changes, unreadable }: Pick<Mending, 'changes' | 'unreadable'>,
): WrittenRows {
  const fresh = unreadable
    .filter(({ after }) => after.length > 0)
    .map(({ key, after }) => ({ key, before: [], after }));
  const written = writeRows(tx, set, names, indexer, [...changes, ...fresh]);
  for (const { key, after } of unreadable) {
    if (after.length > 0) continue;
    tx.remove(set.pins, key);
    if (isPinKey(key)) feedRow.addKey(key);
  }
  return written;
}

/** Nobody can have been told of a key that is none. */
function isPinKey(key: PinKey): boolean {
  try {
    checkPinKey(key);
    return true;
  } catch {
    return false;
  }
}

const nothing = new Uint8Array(0);

/** Where in the feed row the changes of which buckets are. Valid until the next row is begun. */
export interface WrittenRows {
  readonly buckets: readonly number[];
  readonly places: readonly number[];
}

/** Adds the digest changes just written; the function returned takes them away again. */
export function addTo(sums: DigestSums, { buckets, places }: WrittenRows): () => void {
  const bytes = feedRow.bytes();
  for (let i = 0; i < buckets.length; i++) sums.add(buckets[i] as number, bytes, places[i] as number);
  const copy = Buffer.from(bytes.subarray(0, (places.at(-1) ?? 0) + DIGEST_BYTES));
  return () => {
    for (let i = 0; i < buckets.length; i++) sums.subtract(buckets[i] as number, copy, places[i] as number);
  };
}

function hashOf(names: Names, key: PinKey, row: PinRow): string {
  return row.length === 0 ? '' : rowHashString(names, key, row);
}

function inKeyOrder(changes: readonly RowChange[]): readonly RowChange[] {
  if (changes.length < 2) return changes;
  const sorted = changes.toSorted((a, b) => compareKeys(a.key, b.key));
  for (let i = 1; i < sorted.length; i++) {
    const same = compareKeys((sorted[i - 1] as RowChange).key, (sorted[i] as RowChange).key) === 0;
    if (same) throw new Error('two changes of one key in one write');
  }
  return sorted;
}

/** Keys begin with a hash: nearly always the first bytes decide, faster than a call of Buffer.compare. */
function compareKeys(a: PinKey, b: PinKey): number {
  for (let i = 0; i < 4; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return compareBytes(a, b);
}

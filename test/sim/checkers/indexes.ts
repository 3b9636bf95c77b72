import { decodePinRow } from '../../../src/pinset/codec/pin-row.ts';
import { decodePinValue } from '../../../src/pinset/codec/pin-value.ts';
import type { LiveDot, Names, PinRow } from '../../../src/pinset/pinset.ts';
import type { TableSet } from '../../../src/pinset/tables.ts';
import type { Reader, TableName } from '../../../src/storage/storage.ts';
import { Violation } from '../world/violation.ts';
import type { DamagedStore } from './damages.ts';
import { hexOf } from './hex.ts';

/** What the indexes must hold for a row: built from the page on formats, not by the code that keeps them. */
export function indexEntries(
  names: Names,
  set: TableSet,
  key: Uint8Array,
  row: PinRow,
): { table: TableName; entry: Buffer }[] {
  const shown = shownOf(names, row);
  if (shown === undefined) return [];
  const { name, createdMs, expiresMs } = decodePinValue(shown.value);
  const keyHash = Buffer.from(key.subarray(0, 8));
  const namespace = namespaceNumber(names, key);
  const behind = namespace === 0 ? Buffer.alloc(0) : Buffer.of(namespace);
  const entries = [{ table: set.byCreated, entry: Buffer.concat([time(createdMs), keyHash, behind]) }];
  if (expiresMs > 0) entries.push({ table: set.byExpiry, entry: Buffer.concat([time(expiresMs), keyHash, behind]) });
  // Names in the simulator are short and of letters and digits: nothing is escaped or cut.
  if (name !== '') {
    entries.push({
      table: set.byName,
      entry: Buffer.concat([Buffer.of(namespace), Buffer.from(name), Buffer.of(0), keyHash]),
    });
  }
  return entries;
}

/** The first 8 bytes of the pin key that an entry is of. */
export function entryKeyHash(set: TableSet, table: TableName, entry: Uint8Array): Uint8Array {
  return table === set.byName ? entry.subarray(entry.length - 8) : entry.subarray(6, 14);
}

/** The indexes are what a rebuild from the pins would make, neither less nor more, but for what is known to be damaged. */
export function checkIndexes(reader: Reader, names: Names, set: TableSet, who: string, damaged: DamagedStore): void {
  const expected = new Set<string>();
  for (const { key, value } of reader.range(set.pins)) {
    if (damaged.keys.has(hexOf(key))) continue;
    for (const { table, entry } of indexEntries(names, set, key, decodePinRow(value)))
      expected.add(`${table} ${hexOf(entry)}`);
  }
  for (const table of [set.byName, set.byCreated, set.byExpiry]) {
    for (const { key } of reader.range(table)) {
      const entry = `${table} ${hexOf(key)}`;
      if (expected.delete(entry) || damaged.isEntryDamaged(hexOf(entryKeyHash(set, table, key)), entry)) continue;
      throw new Violation('INDEX', `${who} has an entry of ${table} that no pin stands for: ${hexOf(key)}`);
    }
  }
  for (const entry of expected) throw new Violation('INDEX', `${who} lacks the entry ${entry}`);
}

/** Whether the entries of one key are those of its row, and none of these is left. */
export function isIndexed(
  reader: Reader,
  names: Names,
  set: TableSet,
  { key, row, strays }: { key: Uint8Array; row: PinRow; strays: readonly string[] },
): boolean {
  const expected = new Set(indexEntries(names, set, key, row).map(({ table, entry }) => `${table} ${hexOf(entry)}`));
  for (const table of [set.byName, set.byCreated, set.byExpiry]) {
    for (const { key: entry } of reader.range(table)) {
      const text = `${table} ${hexOf(entry)}`;
      const isOwn = hexOf(entryKeyHash(set, table, entry)) === hexOf(key.subarray(0, 8));
      // Pins of one CID in several namespaces share their hash.
      const isOther = namespaceOf(set, table, entry) !== namespaceNumber(names, key);
      if (expected.delete(text)) continue;
      if (strays.includes(text) || (isOwn && !isOther)) return false;
    }
  }
  return expected.size === 0;
}

function namespaceOf(set: TableSet, table: TableName, entry: Uint8Array): number {
  return (table === set.byName ? entry[0] : entry[14]) ?? 0;
}

function shownOf(names: Names, row: PinRow): LiveDot | undefined {
  const rid = (dot: LiveDot) => hexOf(names.replicas.name(dot.replica));
  return row.toSorted((a, b) => {
    if (a.stamp !== b.stamp) return b.stamp - a.stamp;
    if (a.replica === b.replica) return b.sequence - a.sequence;
    return rid(a) > rid(b) ? -1 : 1;
  })[0];
}

function time(ms: number): Buffer {
  const bytes = Buffer.alloc(6);
  bytes.writeUIntBE(ms, 0, 6);
  return bytes;
}

function namespaceNumber(names: Names, key: Uint8Array): number {
  const name = Buffer.from(key.subarray(key.lastIndexOf(0) + 1)).toString('latin1');
  return name === '' ? 0 : (names.namespaces.find(name) ?? -1);
}

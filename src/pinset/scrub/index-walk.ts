import type { Storage, TableName } from '../../storage/storage.ts';
import { SCRUB_ROWS_PER_STEP } from '../constants.ts';
import type { StoredNames } from '../names.ts';
import type { PinsetSnapshot } from '../pinset.ts';
import type { TableSet } from '../tables.ts';
import { IndexCheck } from './index-check.ts';

/** Where a walk through all index entries is. */
export interface IndexPlace {
  table: (typeof indexTables)[number];
  /** Entries up to this one were looked at. */
  behind: Uint8Array;
}

export interface Orphan {
  table: TableName;
  entry: Uint8Array;
  keyHash: Uint8Array;
}

export interface EntriesRead {
  /** Where to go on; undefined: those were the last. */
  place: IndexPlace | undefined;
  entries: number;
  orphans: Orphan[];
}

const indexTables = ['byName', 'byCreated', 'byExpiry', 'byMetadata'] as const;

export const indexStart: IndexPlace = { table: 'byName', behind: new Uint8Array(0) };

/** The next entries, in a snapshot. */
export function readEntries(
  { reader, set, metadata }: PinsetSnapshot,
  names: StoredNames,
  at: IndexPlace,
): EntriesRead {
  const indexes = new IndexCheck({ reader, set, metadata, names });
  const table = set[at.table];
  const read: EntriesRead = { place: undefined, entries: 0, orphans: [] };
  let { behind } = at;
  const range = { from: Buffer.concat([behind, Buffer.of(0)]), limit: SCRUB_ROWS_PER_STEP };
  for (const { key: entry } of reader.range(table, range)) {
    read.entries++;
    behind = entry;
    if (indexes.isOrphan(table, entry)) read.orphans.push({ table, entry, keyHash: indexes.keyHash(table, entry) });
  }
  if (read.entries === SCRUB_ROWS_PER_STEP) return { ...read, place: { table: at.table, behind } };
  const next = indexTables[indexTables.indexOf(at.table) + 1];
  return next === undefined ? read : { ...read, place: { table: next, behind: indexStart.behind } };
}

/** Entries in all indexes of a set. */
export function indexEntries(storage: Storage, set: TableSet): number {
  return indexTables.reduce((sum, table) => sum + storage.tableSize(set[table]).entries, 0);
}

import type { TableName, TableSpec } from '../storage/storage.ts';

/** The tables of one set: rows, indexes and digest. */
export interface TableSet {
  readonly name: SetName;
  /** Pin key -> pinfold.store.v1.PinRow. */
  readonly pins: TableName;
  /** Namespace, name, key hash -> nothing. Pins without a name are not in it. */
  readonly byName: TableName;
  /** Creation, key hash -> nothing. */
  readonly byCreated: TableName;
  /** Expiry, key hash -> nothing. Pins that never expire are not in it. */
  readonly byExpiry: TableName;
  /** Metadata key, value, key hash -> nothing. Only keys that the configuration names. */
  readonly byMetadata: TableName;
  /** Number of a group of 64 buckets -> their sums. */
  readonly digest: TableName;
}

export type SetName = 'a' | 'b';

export const tableSets: Readonly<Record<SetName, TableSet>> = { a: tableSet('a'), b: tableSet('b') };

function tableSet(name: SetName): TableSet {
  return {
    name,
    pins: `pins_${name}`,
    byName: `pins_by_name_${name}`,
    byCreated: `pins_by_created_${name}`,
    byExpiry: `pins_by_expiry_${name}`,
    byMetadata: `pins_by_metadata_${name}`,
    digest: `pins_digest_${name}`,
  };
}

/** Format, table sets and their progress, checkpoint. Few rows, JSON. */
export const stateTable: TableName = 'pinset_state';
/** Kind and number -> name. */
export const namesTable: TableName = 'pinset_names';
/** Revision -> pinfold.store.v1.FeedRow. */
export const feedTable: TableName = 'pinset_feed';

/** To be declared when the store is opened. */
export const pinsetTables: readonly TableSpec[] = [
  { name: stateTable },
  { name: namesTable },
  { name: feedTable },
  ...Object.values(tableSets).flatMap((set): TableSpec[] => [
    { name: set.pins },
    { name: set.byName, writeOnly: true },
    { name: set.byCreated, writeOnly: true },
    { name: set.byExpiry, writeOnly: true },
    { name: set.byMetadata, writeOnly: true },
    { name: set.digest, writeOnly: true },
  ]),
];

import { equalBytes } from '../model/bytes.ts';
import type { PinKey } from '../model/pin.ts';
import { pinKeyParts } from '../model/pin-key.ts';
import type { TableName } from '../storage/storage.ts';
import { IndexedFields } from './codec/pin-value.ts';
import { metadataKey, metadataPrefix, nameKey, timeKey } from './index-keys.ts';
import type { LiveDot, Names } from './pinset.ts';
import { readFields } from './rows.ts';
import type { TableSet } from './tables.ts';

/** Receives index entries. */
export type EntrySink = (table: TableName, entry: Uint8Array) => void;

export interface IndexChanges {
  put: EntrySink;
  remove: EntrySink;
}

/** A metadata key that is indexed. */
export interface MetadataIndex {
  readonly key: string;
  readonly keyBytes: Uint8Array;
  /** What its entries begin with. */
  readonly prefix: Uint8Array;
}

export function metadataIndex(key: string): MetadataIndex {
  return { key, keyBytes: Buffer.from(key), prefix: metadataPrefix(key) };
}

/** Keeps the index tables of a set in step with its shown pins. */
export class Indexer {
  readonly #names: Names;
  readonly #metadata: readonly MetadataIndex[];
  readonly #old = new IndexedFields();
  readonly #new = new IndexedFields();

  constructor(names: Names, metadata: readonly MetadataIndex[]) {
    this.#names = names;
    this.#metadata = metadata;
  }

  /** Tells the difference between what two shown dots say; undefined: none. */
  update(
    set: TableSet,
    key: PinKey,
    before: LiveDot | undefined,
    after: LiveDot | undefined,
    { put, remove }: IndexChanges,
  ): void {
    if (before === after || (before && after && equalBytes(before.value, after.value))) return;
    const namespace = this.namespaceOf(key);
    if (before) readFields(this.#old, key, before.value);
    // Also an old one, that of another author, which is shown now that the newer one is gone.
    if (after) readFields(this.#new, key, after.value);
    if (before && after) this.#replace(set, key, namespace, { put, remove });
    else if (after) this.entries(set, key, namespace, this.#new, put);
    else this.entries(set, key, namespace, this.#old, remove);
  }

  /** All entries of one pin. */
  entries(set: TableSet, key: PinKey, namespace: number, fields: IndexedFields, sink: EntrySink): void {
    if (fields.nameEnd > fields.nameAt) sink(set.byName, nameKey(key, namespace, fields));
    sink(set.byCreated, timeKey(key, namespace, fields.createdMs));
    if (fields.expiresMs > 0) sink(set.byExpiry, timeKey(key, namespace, fields.expiresMs));
    if (this.#metadata.length > 0) this.metadataEntries(set, key, namespace, fields, sink);
  }

  metadataEntries(set: TableSet, key: PinKey, namespace: number, fields: IndexedFields, sink: EntrySink): void {
    const { bytes, metadata } = fields;
    for (let i = 0; i < metadata.length; i += 4) {
      const pairKey = bytes.subarray(metadata[i], metadata[i + 1]);
      for (const index of this.#metadata) {
        if (!equalBytes(index.keyBytes, pairKey)) continue;
        const value = bytes.subarray(metadata[i + 2], metadata[i + 3]);
        sink(set.byMetadata, metadataKey(key, namespace, index.prefix, value));
      }
    }
  }

  /** Local number of the namespace that a key ends with. It must have been given before the transaction. */
  namespaceOf(key: PinKey): number {
    if (key[key.length - 1] === 0) return 0;
    const { namespace } = pinKeyParts(key);
    const number = this.#names.namespaces.find(namespace);
    if (number === undefined)
      throw new Error(`names.namespaces.ensure('${namespace}') was not called before the write`);
    return number;
  }

  #replace(set: TableSet, key: PinKey, namespace: number, { put, remove }: IndexChanges): void {
    const gone: [TableName, Uint8Array][] = [];
    this.entries(set, key, namespace, this.#old, (table, entry) => gone.push([table, entry]));
    this.entries(set, key, namespace, this.#new, (table, entry) => {
      const same = gone.findIndex(([oldTable, old]) => oldTable === table && equalBytes(old, entry));
      if (same >= 0) gone.splice(same, 1);
      else put(table, entry);
    });
    for (const [table, entry] of gone) remove(table, entry);
  }
}

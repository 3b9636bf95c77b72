import { equalBytes } from '../../model/bytes.ts';
import type { PinKey } from '../../model/pin.ts';
import type { Reader, TableName } from '../../storage/storage.ts';
import { IndexedFields } from '../codec/pin-value.ts';
import { after, hashInMetadataKey, hashInNameKey, hashInTimeKey, metadataPrefix } from '../index-keys.ts';
import { Indexer, metadataIndex } from '../indexer.ts';
import type { StoredNames } from '../names.ts';
import type { PinRow } from '../pinset.ts';
import { shownDot } from '../row-hash.ts';
import { readFields, rowFromDisk } from '../rows.ts';
import type { TableSet } from '../tables.ts';

/** Whether rows have their index entries, and entries their rows, in one state of the store. */
export class IndexCheck {
  readonly #reader: Reader;
  readonly #set: TableSet;
  readonly #names: StoredNames;
  readonly #indexer: Indexer;
  readonly #fields = new IndexedFields();
  readonly #prefixes: readonly Uint8Array[];

  /** `metadata`: the keys whose index is complete in that state. */
  constructor(source: { reader: Reader; set: TableSet; metadata: readonly string[]; names: StoredNames }) {
    this.#reader = source.reader;
    this.#set = source.set;
    this.#names = source.names;
    this.#indexer = new Indexer(source.names, source.metadata.map(metadataIndex));
    this.#prefixes = source.metadata.map(metadataPrefix);
  }

  /** The entries that a row must have. */
  entries(key: PinKey, row: PinRow): [TableName, Uint8Array][] {
    const dot = shownDot(this.#names, row);
    if (dot === undefined) return [];
    const entries: [TableName, Uint8Array][] = [];
    readFields(this.#fields, key, dot.value);
    this.#indexer.entries(this.#set, key, this.#indexer.namespaceOf(key), this.#fields, (table, entry) =>
      entries.push([table, entry]),
    );
    return entries;
  }

  missing(key: PinKey, row: PinRow): [TableName, Uint8Array][] {
    return this.entries(key, row).filter(([table, entry]) => this.#reader.get(table, entry) === undefined);
  }

  /** Whether an entry is of no pin. One of a pin that cannot be read is left to what finds that. */
  isOrphan(table: TableName, entry: Uint8Array): boolean {
    if (table === this.#set.byMetadata && !this.#isOfKnownKey(entry)) return false;
    const keyHash = this.keyHash(table, entry);
    for (const { key, value } of this.#reader.range(this.#set.pins, { from: keyHash, to: after(keyHash) })) {
      let row: PinRow;
      try {
        row = rowFromDisk(this.#names, key, value);
        if (this.#has(key, row, table, entry)) return false;
      } catch {
        return false;
      }
    }
    return true;
  }

  keyHash(table: TableName, entry: Uint8Array): Uint8Array {
    if (table === this.#set.byName) return hashInNameKey(entry);
    if (table === this.#set.byMetadata) return hashInMetadataKey(entry);
    return hashInTimeKey(entry);
  }

  /** Entries of a metadata key that is being built or emptied are somebody else's work. */
  #isOfKnownKey(entry: Uint8Array): boolean {
    return this.#prefixes.some((prefix) => equalBytes(prefix, entry.subarray(0, prefix.length)));
  }

  #has(key: PinKey, row: PinRow, table: TableName, entry: Uint8Array): boolean {
    return this.entries(key, row).some(([its, known]) => its === table && equalBytes(known, entry));
  }
}

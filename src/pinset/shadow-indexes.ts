import { hex } from '../model/bytes.ts';
import type { PinKey } from '../model/pin.ts';
import { bucketCount } from '../model/pin-key.ts';
import type { Entry, Reader, Storage, TableName, Transaction } from '../storage/storage.ts';
import { IndexedFields } from './codec/pin-value.ts';
import {
  GATHERED_BYTES_MAX,
  INDEX_ENTRIES_PER_TRANSACTION,
  INDEX_TRANSACTIONS_MAX,
  INDEXED_ROWS_MAX,
  INDEXED_TOGETHER_ROWS_MIN,
} from './constants.ts';
import { Indexer, metadataIndex } from './indexer.ts';
import type { StoredNames } from './names.ts';
import type { PinRow } from './pinset.ts';
import { shownDot } from './row-hash.ts';
import { readFields, rowFromDisk } from './rows.ts';
import type { Sets } from './sets-state.ts';
import { SortedEntries } from './sorted-entries.ts';
import type { TableSet } from './tables.ts';

export interface ShadowIndexesNeeds {
  storage: Storage;
  names: StoredNames;
  sets: Sets;
}

/** Index entries on their way: of rows that were appended or read, and not put yet. A crash before the last is put begins them again. */
interface Gathered {
  /** Key of the last row of theirs. */
  behind: Uint8Array;
  /** They are of all rows of the buckets below it; undefined: there may be more rows behind them. */
  toBucket: number | undefined;
  rows: number;
  /** Of the entries, as they were gathered. */
  length: number;
  bytes: number;
  readonly entries: Map<TableName, SortedEntries>;
}

/**
 * Builds the indexes of a shadow: entries are gathered in memory as rows are appended, and when there are enough of them, put in the order
 * of their tables along with further rows. After a restart the rows are read again.
 */
export class ShadowIndexes {
  readonly #needs: ShadowIndexesNeeds;
  readonly #fields = new IndexedFields();
  #indexer: Indexer;
  #gathered: Gathered | undefined;
  /** Entries of the rows before those, which are being put. */
  #putting: Gathered | undefined;
  /** The transactions that put them and are not committed, the oldest first. */
  readonly #uncommitted: Promise<void>[] = [];

  constructor(needs: ShadowIndexesNeeds) {
    this.#needs = needs;
    this.#indexer = new Indexer(needs.names, []);
  }

  /** Keeps the entries of rows in step that are written once they are complete. */
  get indexer(): Indexer {
    return this.#indexer;
  }

  /** Of an empty shadow. */
  begin(metadata: readonly string[]): void {
    this.#indexer = new Indexer(this.#needs.names, metadata.map(metadataIndex));
    this.#putting = undefined;
    this.#gathered = gatheredBehind(nothing, 0);
  }

  /** As a restart finds them. */
  load(): void {
    const { storage, sets } = this.#needs;
    const behind = this.#indexedTo;
    this.begin(sets.state.shadowMetadata);
    const isBehind = rowsBehind(storage.read, sets.shadow, behind, 1).length > 0;
    this.#gathered = isBehind ? undefined : gatheredBehind(behind, sets.state.nextBucket);
  }

  /** What is on its way is read again from the rows. */
  forget(): void {
    this.#gathered = this.#putting = undefined;
  }

  /** Of all that is filled: nothing is on its way, and nothing is left to be read. */
  get areComplete(): boolean {
    const { shadow, nextBucket } = this.#needs.sets.state;
    if (shadow === 'ready') return true;
    if (nextBucket === bucketCount || this.#putting !== undefined) return false;
    return this.#gathered?.toBucket === nextBucket && this.#gathered.rows === 0;
  }

  /** In the transaction that appends the rows of buckets [fromBucket, toBucket). If that is given up, `forget` is to be called. */
  appended(tx: Transaction, rows: readonly { key: PinKey; row: PinRow }[], fromBucket: number, toBucket: number): void {
    const gathered = this.#gathered;
    if (gathered?.toBucket !== fromBucket) {
      this.forget(); // Rows before these are still to be read.
      return;
    }
    const lengthBefore = gathered.length;
    for (const { key, row } of rows) this.#add(gathered, key, row);
    gathered.toBucket = toBucket;
    if (this.#putting === undefined && isEnough(gathered)) this.#nextPiece();
    // Twice as fast as they come, so that these are gone before there is another piece.
    if (this.#putting !== undefined) this.#putSome(tx, this.#putting, 2 * (gathered.length - lengthBefore));
  }

  /** A bounded piece; true when they are complete, which they were not before. */
  async build(): Promise<boolean> {
    this.#gathered ??= await this.#begunGathering();
    const isBusy = this.#uncommitted.length >= INDEX_TRANSACTIONS_MAX;
    if (!isWhole(this.#gathered) && (this.#putting === undefined || isBusy)) {
      this.#gather(this.#gathered);
      if (!isWhole(this.#gathered) || this.#putting !== undefined) return false;
    }
    if (isBusy) await this.#uncommitted[0];
    const committed = this.#put();
    if (!this.areComplete) return false;
    await committed;
    return true;
  }

  /** All rows must be visible before they are read. */
  async #begunGathering(): Promise<Gathered> {
    this.forget();
    await this.#needs.storage.transaction(() => {}).committed;
    return gatheredBehind(this.#indexedTo, undefined);
  }

  get #indexedTo(): Uint8Array {
    return Buffer.from(this.#needs.sets.state.indexedTo, 'hex');
  }

  /** Adds the index entries of the next rows. */
  #gather(gathered: Gathered): void {
    const { storage, sets, names } = this.#needs;
    const rows = rowsBehind(storage.read, sets.shadow, gathered.behind, INDEXED_ROWS_MAX);
    for (const { key, value } of rows) this.#add(gathered, key, rowFromDisk(names, key, value));
    if (rows.length < INDEXED_ROWS_MAX) gathered.toBucket = sets.state.nextBucket;
  }

  #add(gathered: Gathered, key: PinKey, row: PinRow): void {
    gathered.rows++;
    gathered.behind = key;
    const { names, sets } = this.#needs;
    const dot = shownDot(names, row);
    if (dot === undefined) return;
    readFields(this.#fields, key, dot.value);
    this.#indexer.entries(sets.shadow, key, this.#indexer.namespaceOf(key), this.#fields, (table, entry) => {
      let entries = gathered.entries.get(table);
      if (entries === undefined) {
        entries = new SortedEntries();
        gathered.entries.set(table, entries);
      }
      entries.add(entry);
      gathered.length++;
      gathered.bytes += entry.length;
    });
  }

  #put(): Promise<void> {
    const { storage, sets } = this.#needs;
    const { committed } = storage.transaction((tx) => {
      sets.check(tx);
      if (sets.state.shadow !== 'filling') throw new Error('the shadow was given up while its indexes were built');
      const piece = this.#putting ?? this.#nextPiece();
      if (piece !== undefined) this.#putSome(tx, piece, INDEX_ENTRIES_PER_TRANSACTION);
    });
    this.#uncommitted.push(committed);
    const settled = () => void this.#uncommitted.shift();
    committed.then(settled, settled); // A failure is met in the next transaction.
    return committed;
  }

  /** So many of its next, in the order of their tables: so each page is written once or twice. */
  #putSome(tx: Transaction, piece: Gathered, entriesMax: number): void {
    if (!putSome(tx, piece.entries, entriesMax)) return;
    const isLast = piece.toBucket === bucketCount;
    this.#needs.sets.change(tx, isLast ? { shadow: 'ready' } : { indexedTo: hex(piece.behind) });
    this.#putting = undefined;
  }

  /** Undefined: what it was of was given up meanwhile. */
  #nextPiece(): Gathered | undefined {
    const piece = this.#gathered;
    this.#gathered = piece && gatheredBehind(piece.behind, piece.toBucket);
    this.#putting = piece;
    return piece;
  }
}

const nothing = new Uint8Array(0);

function gatheredBehind(behind: Uint8Array, toBucket: number | undefined): Gathered {
  return { behind, toBucket, rows: 0, length: 0, bytes: 0, entries: new Map() };
}

function isEnough({ rows, bytes }: Gathered): boolean {
  return rows >= INDEXED_TOGETHER_ROWS_MIN || bytes >= GATHERED_BYTES_MAX;
}

/** There are enough of them, or no more. */
function isWhole(gathered: Gathered): boolean {
  return gathered.toBucket !== undefined || isEnough(gathered);
}

function rowsBehind(reader: Reader, set: TableSet, key: Uint8Array, limit: number): Entry[] {
  return [...reader.range(set.pins, { from: Buffer.concat([key, Buffer.of(0)]), limit })];
}

/** True: those were the last. */
function putSome(tx: Transaction, entries: Map<TableName, SortedEntries>, entriesMax: number): boolean {
  let room = entriesMax;
  for (const [table, sorted] of entries) {
    for (; room > 0; room--) {
      const entry = sorted.take();
      if (entry === undefined) break;
      tx.put(table, entry, nothing);
    }
    if (room === 0) return false;
    entries.delete(table);
  }
  return true;
}

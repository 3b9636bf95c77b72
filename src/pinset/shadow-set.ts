import { hex } from '../model/bytes.ts';
import type { PinKey } from '../model/pin.ts';
import { bucketCount, bucketOf } from '../model/pin-key.ts';
import type { Storage, TableName, Transaction } from '../storage/storage.ts';
import { IndexedFields } from './codec/pin-value.ts';
import {
  INDEX_ENTRIES_PER_TRANSACTION,
  INDEX_TRANSACTIONS_MAX,
  INDEXED_ROWS_MAX,
  INDEXED_TOGETHER_ROWS_MIN,
} from './constants.ts';
import { DigestSums } from './digest-sums.ts';
import { Indexer, metadataIndex } from './indexer.ts';
import type { StoredNames } from './names.ts';
import type { PinRow, RowChange, Shadow } from './pinset.ts';
import { shownDot } from './row-hash.ts';
import { addTo, writeRows } from './row-writer.ts';
import { readFields, rowFromDisk } from './rows.ts';
import type { Sets } from './sets-state.ts';
import { SortedEntries } from './sorted-entries.ts';
import type { TableSet } from './tables.ts';

export interface ShadowNeeds {
  storage: Storage;
  names: StoredNames;
  sets: Sets;
  /** Metadata keys to be indexed. */
  indexedMetadata: readonly string[];
  /** Makes the filled set live: feed, revision, digest. */
  swapIn(tx: Transaction, digest: DigestSums, changed: readonly PinKey[] | 'everything'): void;
  /** There is a dead set to be emptied. */
  onDead(): void;
}

/** Index entries on their way: of rows that were read and not put yet. A crash before the last is put begins them again. */
interface Gathered {
  /** Key of the last row that was read. */
  behind: Uint8Array;
  rows: number;
  readonly entries: Map<TableName, SortedEntries>;
  /** There are enough of them, or no more: they are being put. */
  isWhole: boolean;
  /** There are no rows behind them. */
  isLast: boolean;
}

/** The set that is not live. Where it stands is in `Sets`, so it goes on after a restart where it was. */
export class ShadowSet implements Shadow {
  readonly #needs: ShadowNeeds;
  #digest = new DigestSums();
  #indexer: Indexer;
  readonly #fields = new IndexedFields();
  #gathered: Gathered | undefined;
  /** The entries of the rows before those, which are being put. */
  #putting: Gathered | undefined;
  /** The transactions that put them and are not committed, the oldest first. */
  readonly #uncommitted: Promise<void>[] = [];

  constructor(needs: ShadowNeeds) {
    this.#needs = needs;
    this.#indexer = indexerFor(needs.names, needs.indexedMetadata);
  }

  get state(): Shadow['state'] {
    return this.#needs.sets.state.shadow;
  }

  get nextBucket(): number {
    this.#expect('filling', 'indexing', 'ready');
    return this.#needs.sets.state.nextBucket;
  }

  load(): void {
    const { storage, sets, names } = this.#needs;
    if (this.state === 'none' || this.state === 'emptying') return;
    this.#digest.load(storage.read, sets.shadow);
    this.#indexer = indexerFor(names, sets.state.shadowMetadata);
  }

  begin(): void {
    this.#expect('none');
    const { storage, sets, names, indexedMetadata } = this.#needs;
    const shadowMetadata = [...indexedMetadata];
    storage.transaction((tx) => sets.change(tx, { shadow: 'filling', nextBucket: 0, indexedTo: '', shadowMetadata }));
    this.#digest = new DigestSums();
    this.#indexer = indexerFor(names, shadowMetadata);
  }

  append(tx: Transaction, rows: readonly { key: PinKey; row: PinRow }[], toBucket: number): void {
    this.#needs.sets.check(tx);
    this.#expect('filling');
    const { nextBucket } = this.#needs.sets.state;
    if (toBucket < nextBucket || toBucket > bucketCount) {
      throw new RangeError(`the shadow is filled up to bucket ${nextBucket}, which cannot become ${toBucket}`);
    }
    for (const { key } of rows) {
      if (bucketOf(key) < nextBucket) throw new RangeError(`bucket ${bucketOf(key)} of the shadow is filled already`);
    }
    const changes = rows.map(({ key, row }): RowChange => ({ key, before: [], after: row }));
    this.#write(tx, undefined, changes, toBucket);
  }

  row(tx: Transaction, key: PinKey): PinRow {
    this.#expect('filling', 'indexing', 'ready');
    return rowFromDisk(this.#needs.names, key, tx.get(this.#needs.sets.shadow.pins, key));
  }

  write(tx: Transaction, changes: readonly RowChange[]): void {
    this.#needs.sets.check(tx);
    this.#expect('filling', 'ready');
    const { nextBucket } = this.#needs.sets.state;
    for (const { key } of changes) {
      if (bucketOf(key) >= nextBucket) throw new RangeError(`bucket ${bucketOf(key)} of the shadow is not filled yet`);
    }
    this.#write(tx, this.state === 'ready' ? this.#indexer : undefined, changes, nextBucket);
  }

  async buildIndexes(): Promise<boolean> {
    if (this.state === 'ready') return true;
    this.#expect('filling', 'indexing');
    const { storage, sets } = this.#needs;
    if (sets.state.nextBucket < bucketCount) throw new Error('the shadow is not filled yet');
    if (this.state === 'filling') {
      storage.transaction((tx) => sets.change(tx, { shadow: 'indexing', indexedTo: '' }));
      this.#gathered = this.#putting = undefined;
    }
    this.#gathered ??= await this.#begunGathering();
    const isBusy = this.#uncommitted.length >= INDEX_TRANSACTIONS_MAX;
    if (!this.#gathered.isWhole && (this.#putting === undefined || isBusy)) {
      this.#gather(this.#gathered);
      if (!this.#gathered.isWhole || this.#putting !== undefined) return false;
    }
    if (isBusy) await this.#uncommitted[0];
    this.#expect('indexing');
    this.#putting ??= this.#nextPiece();
    const { isLast } = this.#putting;
    const committed = this.#put(this.#putting);
    if (!isLast || this.#putting !== undefined) return false;
    await committed;
    return true;
  }

  swap(tx: Transaction, changed: readonly PinKey[] | 'everything'): void {
    this.#needs.sets.check(tx);
    this.#expect('ready');
    const { sets, swapIn, onDead } = this.#needs;
    const before = this.#digest;
    const { shadowMetadata } = sets.state;
    sets.change(
      tx,
      {
        live: sets.shadow.name,
        shadow: 'emptying',
        nextBucket: 0,
        indexedTo: '',
        metadata: shadowMetadata,
        shadowMetadata: [],
        building: undefined,
        droppedMetadata: [],
      },
      () => {
        this.#digest = before;
      },
    );
    swapIn(tx, this.#digest, changed);
    this.#digest = new DigestSums();
    onDead();
  }

  discard(): void {
    this.#expect('filling', 'indexing', 'ready');
    const { storage, sets, onDead } = this.#needs;
    storage.transaction((tx) => sets.change(tx, { shadow: 'emptying', nextBucket: 0, indexedTo: '' }));
    this.#gathered = this.#putting = undefined;
    this.#digest = new DigestSums();
    onDead();
  }

  #write(tx: Transaction, indexer: Indexer | undefined, changes: readonly RowChange[], nextBucket: number): void {
    const { names, sets } = this.#needs;
    const written = writeRows(tx, sets.shadow, names, indexer, changes);
    const digest = this.#digest;
    sets.change(tx, { nextBucket }, addTo(digest, written));
    digest.save(tx, sets.shadow);
  }

  /** All rows must be visible before they are read. */
  async #begunGathering(): Promise<Gathered> {
    const { storage, sets } = this.#needs;
    await storage.transaction(() => {}).committed;
    this.#expect('indexing');
    return gatheredBehind(Buffer.from(sets.state.indexedTo, 'hex'));
  }

  #nextPiece(): Gathered {
    const piece = this.#gathered as Gathered;
    // Behind the last there is nothing to be read: what is gathered is empty and whole.
    this.#gathered = { ...gatheredBehind(piece.behind), isWhole: piece.isLast };
    return piece;
  }

  /** Adds the index entries of the next rows. */
  #gather(gathered: Gathered): void {
    this.#expect('indexing');
    const { storage, sets, names } = this.#needs;
    const range = { from: Buffer.concat([gathered.behind, Buffer.of(0)]), limit: INDEXED_ROWS_MAX };
    const rowsBefore = gathered.rows;
    for (const { key, value } of storage.read.range(sets.shadow.pins, range)) {
      this.#entriesOf(sets.shadow, key, rowFromDisk(names, key, value), gathered.entries);
      gathered.rows++;
      gathered.behind = key;
    }
    gathered.isLast = gathered.rows - rowsBefore < INDEXED_ROWS_MAX;
    gathered.isWhole = gathered.isLast || gathered.rows >= INDEXED_TOGETHER_ROWS_MIN;
  }

  /** The next of them, in the order of their tables: so each page is written once or twice. */
  #put(piece: Gathered): Promise<void> {
    const { storage, sets } = this.#needs;
    const { entries, behind, isLast } = piece;
    const { committed } = storage.transaction((tx) => {
      if (!putSome(tx, entries)) return;
      sets.change(tx, isLast ? { shadow: 'ready' } : { indexedTo: hex(behind) });
      this.#putting = undefined;
      if (isLast) this.#gathered = undefined;
    });
    this.#uncommitted.push(committed);
    const settled = () => void this.#uncommitted.shift();
    committed.then(settled, settled); // A failure is met in the next transaction.
    return committed;
  }

  #entriesOf(set: TableSet, key: PinKey, row: PinRow, into: Map<TableName, SortedEntries>): void {
    const dot = shownDot(this.#needs.names, row);
    if (dot === undefined) return;
    readFields(this.#fields, key, dot.value);
    this.#indexer.entries(set, key, this.#indexer.namespaceOf(key), this.#fields, (table, entry) => {
      let entries = into.get(table);
      if (entries === undefined) {
        entries = new SortedEntries();
        into.set(table, entries);
      }
      entries.add(entry);
    });
  }

  #expect(...states: Shadow['state'][]): void {
    if (!states.includes(this.state))
      throw new Error(`the shadow is in state ${this.state}, not ${states.join(' or ')}`);
  }
}

const nothing = new Uint8Array(0);

function gatheredBehind(behind: Uint8Array): Gathered {
  return { behind, rows: 0, entries: new Map(), isWhole: false, isLast: false };
}

/** True: those were the last. */
function putSome(tx: Transaction, entries: Map<TableName, SortedEntries>): boolean {
  let room = INDEX_ENTRIES_PER_TRANSACTION;
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

function indexerFor(names: StoredNames, metadata: readonly string[]): Indexer {
  return new Indexer(names, metadata.map(metadataIndex));
}

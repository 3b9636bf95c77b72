import { hex } from '../model/bytes.ts';
import type { PinKey } from '../model/pin.ts';
import { bucketCount, bucketOf } from '../model/pin-key.ts';
import type { Storage, TableName, Transaction } from '../storage/storage.ts';
import { IndexedFields } from './codec/pin-value.ts';
import { INDEXED_TOGETHER_ROWS_MIN, INDEXING_ROWS_MAX } from './constants.ts';
import { DigestSums } from './digest-sums.ts';
import { Indexer, metadataIndex } from './indexer.ts';
import type { StoredNames } from './names.ts';
import type { PinRow, RowChange, Shadow } from './pinset.ts';
import { shownDot } from './row-hash.ts';
import { addTo, writeRows } from './row-writer.ts';
import { readFields, rowFromDisk } from './rows.ts';
import type { Sets } from './sets-state.ts';
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

/** Index entries on their way: of rows that were read and not put yet. */
interface Gathered {
  /** Key of the last row that was read. */
  behind: Uint8Array;
  rows: number;
  entries: Map<TableName, Uint8Array[]>;
  /** Of the piece before. */
  committed: Promise<void>;
}

/** The set that is not live. Where it stands is in `Sets`, so it goes on after a restart where it was. */
export class ShadowSet implements Shadow {
  readonly #needs: ShadowNeeds;
  #digest = new DigestSums();
  #indexer: Indexer;
  readonly #fields = new IndexedFields();
  #gathered: Gathered | undefined;

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
      this.#gathered = undefined;
    }
    const gathered = this.#gathered ?? (await this.#begunGathering());
    if (this.state !== 'indexing') throw new Error('the shadow was discarded while its indexes were built');
    const last = this.#gather(gathered);
    if (last !== undefined && gathered.rows < INDEXED_TOGETHER_ROWS_MIN) return false;
    await gathered.committed; // One piece on its way to the disk while the next is read.
    if (this.state !== 'indexing') throw new Error('the shadow was discarded while its indexes were built');
    gathered.committed = this.#putGathered(gathered, last);
    if (last !== undefined) return false;
    this.#gathered = undefined;
    await gathered.committed;
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
    this.#gathered = undefined;
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
    const behind = Buffer.from(sets.state.indexedTo, 'hex');
    this.#gathered = { behind, rows: 0, entries: new Map(), committed: Promise.resolve() };
    return this.#gathered;
  }

  /** Adds the index entries of the next rows. Answers the key of the last of them; undefined: there are no more. */
  #gather(gathered: Gathered): PinKey | undefined {
    const { storage, sets, names } = this.#needs;
    const range = { from: Buffer.concat([gathered.behind, Buffer.of(0)]), limit: INDEXING_ROWS_MAX };
    const rowsBefore = gathered.rows;
    for (const { key, value } of storage.read.range(sets.shadow.pins, range)) {
      this.#entriesOf(sets.shadow, key, rowFromDisk(names, key, value), gathered.entries);
      gathered.rows++;
      gathered.behind = key;
    }
    return gathered.rows - rowsBefore < INDEXING_ROWS_MAX ? undefined : gathered.behind;
  }

  /** In the order of their tables, so that a piece is put page by page. */
  #putGathered(gathered: Gathered, last: PinKey | undefined): Promise<void> {
    const { storage, sets } = this.#needs;
    const { entries, behind } = gathered;
    gathered.entries = new Map();
    gathered.rows = 0;
    const { committed } = storage.transaction((tx) => {
      for (const [table, unsorted] of entries) {
        for (const entry of unsorted.sort(Buffer.compare)) tx.put(table, entry, nothing);
      }
      sets.change(tx, last === undefined ? { shadow: 'ready' } : { indexedTo: hex(behind) });
    });
    committed.catch(() => {}); // Awaited before the next piece; it must not be unhandled until then.
    return committed;
  }

  #entriesOf(set: TableSet, key: PinKey, row: PinRow, into: Map<TableName, Uint8Array[]>): void {
    const dot = shownDot(this.#needs.names, row);
    if (dot === undefined) return;
    readFields(this.#fields, key, dot.value);
    this.#indexer.entries(set, key, this.#indexer.namespaceOf(key), this.#fields, (table, entry) => {
      const list = into.get(table);
      if (list === undefined) into.set(table, [entry]);
      else list.push(entry);
    });
  }

  #expect(...states: Shadow['state'][]): void {
    if (!states.includes(this.state))
      throw new Error(`the shadow is in state ${this.state}, not ${states.join(' or ')}`);
  }
}

const nothing = new Uint8Array(0);

function indexerFor(names: StoredNames, metadata: readonly string[]): Indexer {
  return new Indexer(names, metadata.map(metadataIndex));
}

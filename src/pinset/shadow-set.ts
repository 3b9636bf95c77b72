import { hex } from '../model/bytes.ts';
import type { PinKey } from '../model/pin.ts';
import { bucketCount, bucketOf } from '../model/pin-key.ts';
import type { Storage, TableName, Transaction } from '../storage/storage.ts';
import { IndexedFields } from './codec/pin-value.ts';
import { INDEXING_ROWS_MAX } from './constants.ts';
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

/** The set that is not live. Where it stands is in `Sets`, so it goes on after a restart where it was. */
export class ShadowSet implements Shadow {
  readonly #needs: ShadowNeeds;
  #digest = new DigestSums();
  #indexer: Indexer;
  readonly #fields = new IndexedFields();

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
    if (this.state === 'filling') storage.transaction((tx) => sets.change(tx, { shadow: 'indexing', indexedTo: '' }));
    await storage.transaction(() => {}).committed;
    if (this.state !== 'indexing') throw new Error('the shadow was discarded while its indexes were built');
    const { entries, last } = this.#entriesBehind(Buffer.from(sets.state.indexedTo, 'hex'));
    const change = last === undefined ? ({ shadow: 'ready' } as const) : { indexedTo: hex(last) };
    await storage.transaction((tx) => {
      for (const [table, sorted] of entries) for (const entry of sorted) tx.put(table, entry, nothing);
      sets.change(tx, change);
    }).committed;
    return last === undefined;
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

  /** Index entries of the next rows, in the order of their tables, so that a piece is put page by page. */
  #entriesBehind(key: Uint8Array): { entries: Map<TableName, Uint8Array[]>; last: PinKey | undefined } {
    const { storage, sets, names } = this.#needs;
    const entries = new Map<TableName, Uint8Array[]>();
    const range = { from: Buffer.concat([key, Buffer.of(0)]), limit: INDEXING_ROWS_MAX };
    let last: PinKey | undefined;
    for (const { key, value } of storage.read.range(sets.shadow.pins, range)) {
      this.#entriesOf(sets.shadow, key, rowFromDisk(names, key, value), entries);
      last = key;
    }
    for (const sorted of entries.values()) sorted.sort(Buffer.compare);
    return { entries, last };
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

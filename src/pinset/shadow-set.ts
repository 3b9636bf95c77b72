import type { PinKey } from '../model/pin.ts';
import { bucketCount, bucketOf } from '../model/pin-key.ts';
import type { Storage, Transaction } from '../storage/storage.ts';
import { DigestSums } from './digest-sums.ts';
import type { Indexer } from './indexer.ts';
import type { StoredNames } from './names.ts';
import type { HashedRow, PinRow, RowChange, Shadow } from './pinset.ts';
import { addTo, writeRows } from './row-writer.ts';
import { rowFromDisk } from './rows.ts';
import type { Sets } from './sets-state.ts';
import { ShadowIndexes } from './shadow-indexes.ts';

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
  readonly #indexes: ShadowIndexes;
  #digest = new DigestSums();

  constructor(needs: ShadowNeeds) {
    this.#needs = needs;
    this.#indexes = new ShadowIndexes(needs);
  }

  get state(): Shadow['state'] {
    return this.#needs.sets.state.shadow;
  }

  get nextBucket(): number {
    this.#expect('filling', 'ready');
    return this.#needs.sets.state.nextBucket;
  }

  load(): void {
    const { storage, sets } = this.#needs;
    if (this.state === 'none' || this.state === 'emptying') return;
    this.#digest.load(storage.read, sets.shadow);
    this.#indexes.load();
  }

  begin(): void {
    this.#expect('none');
    const { storage, sets, indexedMetadata } = this.#needs;
    const shadowMetadata = [...indexedMetadata];
    storage.transaction((tx) => sets.change(tx, { shadow: 'filling', nextBucket: 0, indexedTo: '', shadowMetadata }));
    this.#digest = new DigestSums();
    this.#indexes.begin(shadowMetadata);
  }

  append(tx: Transaction, rows: readonly HashedRow[], toBucket: number): void {
    this.#needs.sets.check(tx);
    this.#expect('filling');
    const { nextBucket } = this.#needs.sets.state;
    if (toBucket < nextBucket || toBucket > bucketCount) {
      throw new RangeError(`the shadow is filled up to bucket ${nextBucket}, which cannot become ${toBucket}`);
    }
    for (const { key } of rows) {
      if (bucketOf(key) < nextBucket) throw new RangeError(`bucket ${bucketOf(key)} of the shadow is filled already`);
    }
    const changes = rows.map(({ key, row, hash }): RowChange => ({ key, before: [], after: row, hash }));
    this.#write(tx, undefined, changes, toBucket, () => this.#indexes.forget());
    this.#indexes.appended(tx, rows, nextBucket, toBucket);
  }

  row(tx: Transaction, key: PinKey): PinRow {
    this.#expect('filling', 'ready');
    return rowFromDisk(this.#needs.names, key, tx.get(this.#needs.sets.shadow.pins, key));
  }

  write(tx: Transaction, changes: readonly RowChange[]): void {
    this.#needs.sets.check(tx);
    this.#expect('filling', 'ready');
    if (changes.length === 0) return;
    if (!this.#indexes.areComplete) throw new Error('the indexes of what is filled are not built');
    const { nextBucket } = this.#needs.sets.state;
    for (const { key } of changes) {
      if (bucketOf(key) >= nextBucket) throw new RangeError(`bucket ${bucketOf(key)} of the shadow is not filled yet`);
    }
    this.#write(tx, this.#indexes.indexer, changes, nextBucket);
  }

  async buildIndexes(): Promise<boolean> {
    const { storage, sets } = this.#needs;
    storage.transaction((tx) => sets.check(tx));
    if (this.#indexes.areComplete) return true;
    this.#expect('filling');
    return this.#indexes.build();
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
    this.#expect('filling', 'ready');
    const { storage, sets, onDead } = this.#needs;
    storage.transaction((tx) => sets.change(tx, { shadow: 'emptying', nextBucket: 0, indexedTo: '' }));
    this.#indexes.forget();
    this.#digest = new DigestSums();
    onDead();
  }

  #write(
    tx: Transaction,
    indexer: Indexer | undefined,
    changes: readonly RowChange[],
    nextBucket: number,
    undo = () => {},
  ): void {
    const { names, sets } = this.#needs;
    const written = writeRows(tx, sets.shadow, names, indexer, changes);
    const subtract = addTo(this.#digest, written);
    sets.change(tx, { nextBucket }, () => {
      subtract();
      undo();
    });
    this.#digest.save(tx, sets.shadow);
  }

  #expect(...states: Shadow['state'][]): void {
    if (!states.includes(this.state))
      throw new Error(`the shadow is in state ${this.state}, not ${states.join(' or ')}`);
  }
}

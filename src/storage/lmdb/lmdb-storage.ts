import { statSync, truncateSync } from 'node:fs';
import {
  checkKey,
  checkRange,
  checkValue,
  nestedTransaction,
  outsideTransaction,
  storageClosed,
  unknownTable,
  writeOnlyTable,
} from '../checks.ts';
import type { Commit, Entry, Range, Reader, Snapshot, Storage, TableName, TableSpec, Transaction } from '../storage.ts';
import { CommitQueue } from './commit-queue.ts';
import { MAP_BYTES_DEFAULT } from './constants.ts';
import type { NativeRoot, NativeTable, NativeTxn } from './native.ts';
import { damaged, openFile, readFailed } from './open-file.ts';
import { openTable, type RangeGuard, readRange } from './table.ts';

export interface LmdbStorageInit {
  /** The data file. Its folder must exist; a second file, named after it with `-lock`, is put beside it. */
  path: string;
  tables: readonly TableSpec[];
  /** Bytes of address space reserved for the file: the largest size that it can reach. Default: 1 TiB. */
  mapBytes?: number;
}

/**
 * Opens or creates a store. Errors: DATA_CORRUPT when the file is damaged or something else, STORAGE_FAILED when it
 * cannot be opened or created. One process, one thread, and once at a time: the caller holds the lock of the folder.
 *
 * Memory: what is queued and not flushed is held, each write with its bytes and about 70 more. Whoever writes much
 * awaits `committed` now and then.
 */
export async function lmdbStorage(init: LmdbStorageInit): Promise<Storage> {
  const { root, shortBytes } = openFile(init.path, init.mapBytes ?? MAP_BYTES_DEFAULT, init.tables.length);
  try {
    const tables = new Map(init.tables.map((spec) => [spec.name, newTable(root, spec)]));
    for (const { native } of tables.values()) verify(native, shortBytes !== undefined);
    // Creating tables is not flushed by lmdb-js.
    await new Promise<void>((resolve, reject) => {
      root.sync((error) => (error ? reject(error) : resolve()));
    });
    return new LmdbStorage(init.path, root, tables);
  } catch (cause) {
    await root.close();
    if (shortBytes !== undefined) truncateSync(init.path, shortBytes);
    throw damaged(init.path, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

interface Table {
  readonly native: NativeTable;
  readonly dbi: number;
  readonly readable: boolean;
}

class LmdbStorage implements Storage {
  readonly read: Reader;
  readonly #path: string;
  readonly #root: NativeRoot;
  readonly #tables: ReadonlyMap<TableName, Table>;
  readonly #queue: CommitQueue;
  readonly #transaction: Transaction;
  readonly #snapshots = new Set<LmdbSnapshot>();
  #inTransaction = false;
  #closed: Promise<void> | undefined;

  constructor(path: string, root: NativeRoot, tables: ReadonlyMap<TableName, Table>) {
    this.#path = path;
    this.#root = root;
    this.#tables = tables;
    this.#queue = new CommitQueue(root);
    this.read = {
      get: (table, key) => this.#get(this.#table(table), key),
      range: (table, range) => this.#range(table, range, undefined, () => this.#check()),
    };
    this.#transaction = {
      get: (table, key) => this.#getQueued(this.#writable(table), table, key),
      put: (table, key, value) => {
        const { dbi, readable } = this.#writable(table);
        checkKey(key);
        checkValue(value);
        this.#queue.batch.put(dbi, readable, key, value);
      },
      remove: (table, key) => {
        const { dbi, readable } = this.#writable(table);
        checkKey(key);
        this.#queue.batch.remove(dbi, readable, key);
      },
    };
  }

  transaction<T>(fn: (tx: Transaction) => T): Commit<T> {
    this.#check();
    if (this.#inTransaction) throw nestedTransaction();
    const { batch } = this.#queue;
    const before = batch.mark();
    this.#inTransaction = true;
    let value: T;
    try {
      value = fn(this.#transaction);
    } catch (error) {
      batch.undo(before);
      throw error;
    } finally {
      this.#inTransaction = false;
    }
    const { committed, flushed } = this.#queue.queued();
    return { value, committed, flushed };
  }

  async snapshot(): Promise<Snapshot> {
    this.#check();
    const snapshot = new LmdbSnapshot(this.#root.useReadTransaction(), this.#snapshots, {
      get: (table, key, txn) => this.#get(this.#table(table), key, txn),
      range: (table, range, txn, check) => this.#range(table, range, txn, check),
    });
    try {
      await this.#queue.startedFlushed();
    } catch (error) {
      snapshot.close();
      throw error;
    }
    return snapshot;
  }

  async flushed(): Promise<void> {
    this.#check();
    await this.#queue.newest().flushed;
  }

  tableSize(table: TableName): { entries: number; bytes: number } {
    this.#check();
    const { native } = this.#table(table);
    this.#root.ensureReadTxn();
    const stat = native.db.stat();
    const pages = stat.treeBranchPageCount + stat.treeLeafPageCount + stat.overflowPages;
    return { entries: stat.entryCount, bytes: pages * stat.pageSize };
  }

  sizeBytes(): number {
    this.#check();
    return statSync(this.#path).size;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#queue.idle();
    for (const snapshot of this.#snapshots) snapshot.close();
    await this.#root.close();
  }

  #check(): void {
    if (this.#closed) throw storageClosed();
    if (this.#queue.failure) throw this.#queue.failure;
  }

  #table(name: TableName): Table {
    const table = this.#tables.get(name);
    if (table === undefined) throw unknownTable(name);
    return table;
  }

  #writable(name: TableName): Table {
    if (!this.#inTransaction) throw outsideTransaction();
    return this.#table(name);
  }

  #get(table: Table, key: Uint8Array, txn?: NativeTxn): Uint8Array | undefined {
    this.#check();
    checkKey(key);
    return this.#readKey(table, key, txn);
  }

  #getQueued(table: Table, name: TableName, key: Uint8Array): Uint8Array | undefined {
    if (!table.readable) throw writeOnlyTable(name);
    checkKey(key);
    const queued = this.#queue.find(table.dbi, key);
    if (queued !== undefined) return queued ?? undefined;
    return this.#readKey(table, key);
  }

  #readKey({ native }: Table, key: Uint8Array, txn?: NativeTxn): Uint8Array | undefined {
    try {
      return txn === undefined ? native.get(key) : native.get(key, { transaction: txn });
    } catch (cause) {
      throw readFailed(this.#path, cause);
    }
  }

  #range(name: TableName, range: Range = {}, txn: NativeTxn | undefined, check: () => void): Iterable<Entry> {
    check();
    const { native } = this.#table(name);
    checkRange(range);
    return readRange(native, range, txn, { check, failed: (cause) => readFailed(this.#path, cause) });
  }
}

interface SnapshotReads {
  get(table: TableName, key: Uint8Array, txn: NativeTxn): Uint8Array | undefined;
  range(table: TableName, range: Range | undefined, txn: NativeTxn, check: () => void): Iterable<Entry>;
}

class LmdbSnapshot implements Snapshot {
  readonly #txn: NativeTxn;
  readonly #open: Set<LmdbSnapshot>;
  readonly #reads: SnapshotReads;

  constructor(txn: NativeTxn, open: Set<LmdbSnapshot>, reads: SnapshotReads) {
    this.#txn = txn;
    this.#open = open;
    this.#reads = reads;
    open.add(this);
  }

  get(table: TableName, key: Uint8Array): Uint8Array | undefined {
    this.#check();
    return this.#reads.get(table, key, this.#txn);
  }

  range(table: TableName, range?: Range): Iterable<Entry> {
    return this.#reads.range(table, range, this.#txn, () => this.#check());
  }

  close(): void {
    if (this.#open.delete(this)) this.#txn.done();
  }

  #check(): void {
    if (!this.#open.has(this)) throw storageClosed();
  }
}

function newTable(root: NativeRoot, { name, writeOnly }: TableSpec): Table {
  const native = openTable(root, name);
  return { native, dbi: native.db.dbi, readable: writeOnly !== true };
}

/** Reads the first and the last entry, or all, so that damage is met now and not in the middle of work. */
function verify(table: NativeTable, all: boolean): void {
  const guard: RangeGuard = { check() {}, failed: (cause) => cause as Error };
  const ranges = all ? [{}] : [{ limit: 1 }, { limit: 1, reverse: true }];
  for (const range of ranges) {
    for (const _ of readRange(table, range, undefined, guard));
  }
}

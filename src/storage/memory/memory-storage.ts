import { equalBytes } from '../../model/bytes.ts';
import { PinfoldError } from '../../model/errors.ts';
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
import { emptyTable, type MemoryTable } from './memory-table.ts';

export interface MemoryStorageInit {
  tables: readonly TableSpec[];
  /** `auto`: a transaction is committed and flushed in the next microtask. `manual`: when `control` says so. */
  flush: 'auto' | 'manual';
}

/** A store in memory, without I/O or timers: for tests and the simulator. */
export interface MemoryStorage extends Storage {
  readonly control: MemoryControl;
}

/** What the world does to a store. Counts are of transactions that wrote something, oldest first. Default: all. */
export interface MemoryControl {
  /** Makes queued transactions visible to `read`. */
  commit(count?: number): void;
  /** Brings transactions to the disk, committing them before if need be. */
  flush(count?: number): void;
  /** Transactions queued and not committed, and committed and not flushed. */
  pending(): { queued: number; committed: number };
  /** The next commit fails, as on a full disk: what is queued is gone, and the store has failed. */
  failNextCommit(): void;
  /** The next flush fails, as on a broken disk: the store has failed. */
  failNextFlush(): void;
  /**
   * Ends this store, whose promises reject, and gives the store that is opened after the crash: with what was flushed
   * (`machine`, the default), or with what was committed too (`process`).
   */
  crash(of?: 'machine' | 'process'): MemoryStorage;
  /** Another store with what is flushed now; this one goes on. A backup, or a look at what a crash would leave. */
  copy(): MemoryStorage;
  /**
   * The disk changes a flushed entry by itself, or loses it (`undefined`): for all who read it from now on, but where a later transaction
   * has written it anew.
   */
  damage(table: TableName, key: Uint8Array, value: Uint8Array | undefined): void;
}

export function memoryStorage(init: MemoryStorageInit): MemoryStorage {
  return new TreeStorage(init, new Map(init.tables.map(({ name }) => [name, emptyTable()])));
}

/** All tables at one moment; never changed. */
type State = ReadonlyMap<TableName, MemoryTable>;

interface Pending {
  /** After this transaction. */
  state: State;
  readonly committed: PromiseWithResolvers<void>;
  readonly flushed: PromiseWithResolvers<void>;
}

class TreeStorage implements MemoryStorage {
  readonly control: MemoryControl;
  readonly read: Reader;
  readonly #init: MemoryStorageInit;
  readonly #writeOnly: ReadonlySet<TableName>;
  readonly #transaction: Transaction;
  /** After the newest transaction. */
  #newest: State;
  #committedState: State;
  #flushedState: State;
  #queued: Pending[] = [];
  #committed: Pending[] = [];
  /** Of the transaction that is running: the tables that it has written to. */
  #writing: Map<TableName, MemoryTable> | undefined;
  #failNext: 'commit' | 'flush' | undefined;
  #failure: PinfoldError | undefined;
  #closed: Promise<void> | undefined;
  #flushScheduled = false;

  constructor(init: MemoryStorageInit, state: State) {
    this.#init = init;
    this.#newest = state;
    this.#committedState = state;
    this.#flushedState = state;
    this.#writeOnly = new Set(init.tables.filter(({ writeOnly }) => writeOnly).map(({ name }) => name));
    this.read = this.#reader(
      () => this.#committedState,
      () => this.#check(),
    );
    this.#transaction = {
      get: (table, key) => this.#getQueued(table, key),
      put: (table, key, value) => {
        checkValue(value);
        this.#writable(table, key).put(key, value);
      },
      remove: (table, key) => this.#writable(table, key).remove(key),
    };
    this.control = {
      commit: (count) => this.#commit(count),
      flush: (count) => this.#flush(count),
      pending: () => ({ queued: this.#queued.length, committed: this.#committed.length }),
      failNextCommit: () => {
        this.#failNext = 'commit';
      },
      failNextFlush: () => {
        this.#failNext = 'flush';
      },
      crash: (of) => this.#crash(of),
      copy: () => new TreeStorage(this.#init, this.#flushedState),
      damage: (table, key, value) => this.#damage(table, key, value),
    };
  }

  transaction<T>(fn: (tx: Transaction) => T): Commit<T> {
    this.#check();
    if (this.#writing) throw nestedTransaction();
    const writing = new Map<TableName, MemoryTable>();
    this.#writing = writing;
    let value: T;
    try {
      value = fn(this.#transaction);
    } finally {
      this.#writing = undefined;
    }
    if (writing.size > 0) this.#queue(writing);
    const { committed, flushed } = this.#last();
    return { value, committed, flushed };
  }

  async snapshot(): Promise<Snapshot> {
    this.#check();
    const state = this.#committedState;
    let open = true;
    const reader = this.#reader(
      () => state,
      () => {
        if (!open) throw storageClosed();
        this.#check();
      },
    );
    await this.#committed.at(-1)?.flushed.promise;
    const close = () => {
      open = false;
    };
    return { ...reader, close };
  }

  async flushed(): Promise<void> {
    this.#check();
    await this.#last().flushed;
  }

  tableSize(table: TableName): { entries: number; bytes: number } {
    this.#check();
    const { entries, bytes } = tableOf(this.#committedState, table);
    return { entries, bytes };
  }

  sizeBytes(): number {
    this.#check();
    let bytes = 0;
    for (const table of this.#committedState.values()) bytes += table.bytes;
    return bytes;
  }

  close(): Promise<void> {
    this.#closed ??= this.#last().flushed.catch(() => {});
    if (this.#init.flush === 'manual') this.#flush();
    return this.#closed;
  }

  #check(): void {
    if (this.#failure) throw this.#failure;
    if (this.#closed) throw storageClosed();
  }

  #writable(name: TableName, key: Uint8Array): MemoryTable {
    if (!this.#writing) throw outsideTransaction();
    checkKey(key);
    let table = this.#writing.get(name);
    if (table === undefined) {
      table = tableOf(this.#newest, name).clone();
      this.#writing.set(name, table);
    }
    return table;
  }

  #getQueued(name: TableName, key: Uint8Array): Uint8Array | undefined {
    if (!this.#writing) throw outsideTransaction();
    const table = this.#writing.get(name) ?? tableOf(this.#newest, name);
    if (this.#writeOnly.has(name)) throw writeOnlyTable(name);
    checkKey(key);
    return table.get(key);
  }

  #queue(written: ReadonlyMap<TableName, MemoryTable>): void {
    this.#newest = new Map([...this.#newest, ...written]);
    const pending = {
      state: this.#newest,
      committed: Promise.withResolvers<void>(),
      flushed: Promise.withResolvers<void>(),
    };
    // Whoever awaits them gets the failure; nobody has to.
    pending.committed.promise.catch(() => {});
    pending.flushed.promise.catch(() => {});
    this.#queued.push(pending);
    if (this.#init.flush === 'auto') this.#scheduleFlush();
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    queueMicrotask(() => {
      this.#flushScheduled = false;
      this.#flush();
    });
  }

  #last(): { committed: Promise<void>; flushed: Promise<void> } {
    const last = this.#queued.at(-1) ?? this.#committed.at(-1);
    if (last === undefined) return { committed: Promise.resolve(), flushed: Promise.resolve() };
    return { committed: last.committed.promise, flushed: last.flushed.promise };
  }

  #commit(count = this.#queued.length): void {
    if (this.#failure || this.#queued.length === 0) return;
    if (this.#failNext === 'commit') {
      this.#fail('no space left (asked for by a test)');
      return;
    }
    for (const pending of this.#queued.splice(0, count)) {
      this.#committedState = pending.state;
      this.#committed.push(pending);
      pending.committed.resolve();
    }
  }

  #flush(count = this.#committed.length + this.#queued.length): void {
    if (count > this.#committed.length) this.#commit(count - this.#committed.length);
    if (this.#failure || this.#committed.length === 0) return;
    if (this.#failNext === 'flush') {
      this.#fail('the disk does not answer (asked for by a test)');
      return;
    }
    for (const pending of this.#committed.splice(0, count)) {
      this.#flushedState = pending.state;
      pending.flushed.resolve();
    }
  }

  #crash(of: 'machine' | 'process' = 'machine'): MemoryStorage {
    const state = of === 'machine' ? this.#flushedState : this.#committedState;
    this.#fail('the peer crashed (asked for by a test)');
    return new TreeStorage(this.#init, state);
  }

  #damage(name: TableName, key: Uint8Array, value: Uint8Array | undefined): void {
    const whole = tableOf(this.#flushedState, name).get(key);
    const changed = new Map<State, State>();
    const damaged = (state: State): State => {
      const known = changed.get(state) ?? damagedState(state, { name, key, value, whole });
      changed.set(state, known);
      return known;
    };
    for (const pending of [...this.#committed, ...this.#queued]) pending.state = damaged(pending.state);
    this.#flushedState = damaged(this.#flushedState);
    this.#committedState = damaged(this.#committedState);
    this.#newest = damaged(this.#newest);
  }

  #fail(what: string): void {
    const failure = new PinfoldError('STORAGE_FAILED', `writing to the store failed: ${what}`);
    this.#failure ??= failure;
    for (const pending of [...this.#committed, ...this.#queued]) {
      pending.committed.reject(this.#failure);
      pending.flushed.reject(this.#failure);
    }
    this.#committed = [];
    this.#queued = [];
  }

  #reader(state: () => State, check: () => void): Reader {
    return {
      get(name, key) {
        check();
        const table = tableOf(state(), name);
        checkKey(key);
        return table.get(key);
      },
      range(name, range = {}) {
        check();
        tableOf(state(), name);
        checkRange(range);
        return checkedRange(() => tableOf(state(), name), range, check);
      },
    };
  }
}

function* checkedRange(table: () => MemoryTable, range: Range, check: () => void): Iterable<Entry> {
  check();
  for (const entry of table().range(range)) {
    yield entry;
    check();
  }
}

function damagedState(
  state: State,
  {
    name,
    key,
    value,
    whole,
  }: { name: TableName; key: Uint8Array; value: Uint8Array | undefined; whole: Uint8Array | undefined },
): State {
  const table = tableOf(state, name).clone();
  const stored = table.get(key);
  const isAsFlushed = stored === undefined ? whole === undefined : whole !== undefined && equalBytes(stored, whole);
  if (!isAsFlushed) return state;
  if (value === undefined) table.remove(key);
  else table.put(key, value);
  return new Map([...state, [name, table]]);
}

function tableOf(state: State, name: TableName): MemoryTable {
  const table = state.get(name);
  if (table === undefined) throw unknownTable(name);
  return table;
}

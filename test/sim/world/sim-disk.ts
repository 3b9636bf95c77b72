import type { MemoryStorage } from '../../../src/storage/memory/memory-storage.ts';
import type { Commit, Reader, Snapshot, Storage, TableName, Transaction } from '../../../src/storage/storage.ts';
import type { SimRandom } from './sim-random.ts';
import type { SimTime, TimerOwner } from './sim-time.ts';

/** How a disk behaves; the world changes it while it runs. */
export interface DiskManner {
  /** Mean time from the transaction to its commit, and from there to the flush, ms. */
  commitMs: number;
  flushMs: number;
  /** Writes are refused and nothing is taken in: what the daemon's guard says of a disk that is nearly full. */
  isLow: boolean;
  failNext: 'commit' | 'flush' | undefined;
}

/** However slow a disk is, this long a flush takes at most. */
const flushMsMax = 5_000;

export interface SimDiskNeeds {
  time: SimTime;
  /** Of the world: a disk goes on while a process is dead, but for what it had not been told to flush. */
  owner: TimerOwner;
  random: SimRandom;
  manner: DiskManner;
  /** After each flush of something. */
  onFlushed(): void;
  /** Writing failed: the store cannot go on. */
  onFailed(): void;
}

/**
 * The store of one running process: a memory storage whose commits and flushes come in their time, in order and in groups, as
 * LMDB's do.
 */
export class SimDisk implements Storage {
  readonly inner: MemoryStorage;
  readonly #needs: SimDiskNeeds;
  #isBusy = false;
  #isFailing = false;
  #isWritten = false;
  #isOver = false;

  constructor(inner: MemoryStorage, needs: SimDiskNeeds) {
    this.inner = inner;
    this.#needs = needs;
  }

  get read(): Reader {
    return this.inner.read;
  }

  transaction<T>(fn: (tx: Transaction) => T): Commit<T> {
    const commit = this.inner.transaction(fn);
    this.#isWritten = true;
    this.#work();
    return commit;
  }

  snapshot(): Promise<Snapshot> {
    return this.inner.snapshot();
  }

  flushed(): Promise<void> {
    return this.inner.flushed();
  }

  tableSize(table: TableName): { entries: number; bytes: number } {
    return this.inner.tableSize(table);
  }

  sizeBytes(): number {
    return this.inner.sizeBytes();
  }

  close(): Promise<void> {
    this.#isOver = true;
    const closed = this.inner.close();
    this.#needs.onFlushed();
    return closed;
  }

  /** What the flushed state holds, as a crash would leave it. */
  flushedReader(): Reader {
    return this.inner.control.copy().read;
  }

  get hasFailed(): boolean {
    return this.#isFailing;
  }

  /** Whoever writes to it has read it before. */
  get isWritten(): boolean {
    return this.#isWritten;
  }

  get isSettled(): boolean {
    const { queued, committed } = this.inner.control.pending();
    return queued + committed === 0;
  }

  /** The machine or the process ends: what is left of the store. */
  crash(of: 'machine' | 'process'): MemoryStorage {
    this.#isOver = true;
    const { control } = this.inner;
    const { queued, committed } = control.pending();
    // Some of what was on its way has reached the disk, in order.
    if (of === 'machine' && !this.#isFailing) control.flush(this.#needs.random.int(0, queued + committed));
    return control.crash(of);
  }

  #work(): void {
    if (this.#isBusy || this.#isOver || this.isSettled) return;
    this.#isBusy = true;
    const { time, owner, random, manner } = this.#needs;
    time.after(owner, manner.commitMs * 2 * random.float(), () => this.#commit());
  }

  #commit(): void {
    if (this.#isOver) return;
    const { time, owner, random, manner } = this.#needs;
    const { control } = this.inner;
    if (manner.failNext === 'commit') control.failNextCommit();
    if (manner.failNext === 'flush') control.failNextFlush();
    this.#isFailing = manner.failNext !== undefined;
    manner.failNext = undefined;
    control.commit();
    time.after(owner, Math.min(flushMsMax, manner.flushMs * 2 * random.float()), () => this.#flush());
  }

  #flush(): void {
    if (this.#isOver) return;
    const { onFlushed, onFailed } = this.#needs;
    const { control } = this.inner;
    const { committed } = control.pending();
    if (committed > 0) control.flush(committed);
    this.#isBusy = false;
    if (this.#isFailing) {
      this.#isOver = true;
      onFailed();
      return;
    }
    onFlushed();
    this.#work();
  }
}

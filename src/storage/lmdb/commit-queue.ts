import { PinfoldError } from '../../model/errors.ts';
import { ChunkPool } from './chunk.ts';
import { COMMITS_IN_FLIGHT_MAX } from './constants.ts';
import { errorOf, FLUSHED, type NativeRoot, VISIBLE } from './native.ts';
import { hashKey } from './overlay.ts';
import { WriteBatch } from './write-batch.ts';

/** Transactions that share one LMDB transaction, and so their fate. */
interface Group {
  readonly batch: WriteBatch;
  readonly committed: PromiseWithResolvers<void>;
  readonly flushed: PromiseWithResolvers<void>;
  /** waiting: takes further transactions; writing: in LMDB's hands; visible: readers see it, the flush goes on. */
  state: 'waiting' | 'writing' | 'visible' | 'ended';
}

/**
 * Brings write batches to LMDB, one after the other. While one is being written, the transactions that come in gather
 * in the next: few commits under load, and none waits for company when there is no load.
 *
 * A group is exactly one `startWriting`, hence exactly one LMDB transaction: it cannot come apart.
 */
export class CommitQueue {
  readonly #root: NativeRoot;
  readonly #pool = new ChunkPool();
  readonly #emptyBatches: WriteBatch[] = [];
  /** Started and not ended, oldest first. */
  readonly #started: Group[] = [];
  #waiting: Group;
  #startScheduled = false;
  #failure: PinfoldError | undefined;
  /** After a failure: LMDB has reported the end of all that it had been given. */
  readonly #drained = Promise.withResolvers<void>();

  constructor(root: NativeRoot) {
    this.#root = root;
    this.#waiting = this.#group();
  }

  get failure(): PinfoldError | undefined {
    return this.#failure;
  }

  /** Where the next transaction writes to. */
  get batch(): WriteBatch {
    return this.#waiting.batch;
  }

  /** What is queued and not visible yet: a fresh copy, null for removed, undefined for not there. */
  find(dbi: number, key: Uint8Array): Uint8Array | null | undefined {
    const hash = hashKey(dbi, key);
    let found = this.#waiting.batch.find(hash, dbi, key);
    for (let i = this.#started.length - 1; i >= 0 && found === undefined; i--) {
      found = (this.#started[i] as Group).batch.find(hash, dbi, key);
    }
    return found;
  }

  /** To be called after each transaction: when its group will be committed and flushed. */
  queued(): { committed: Promise<void>; flushed: Promise<void> } {
    if (this.#waiting.batch.length === 0) return this.newest();
    if (!this.#startScheduled) {
      this.#startScheduled = true;
      // Transactions of one run of the event loop go together.
      queueMicrotask(() => {
        this.#startScheduled = false;
        this.#start();
      });
    }
    return { committed: this.#waiting.committed.promise, flushed: this.#waiting.flushed.promise };
  }

  /** When all that is queued by now will be committed and flushed. */
  newest(): { committed: Promise<void>; flushed: Promise<void> } {
    const group = this.#waiting.batch.length > 0 ? this.#waiting : this.#started.at(-1);
    if (group === undefined) return { committed: Promise.resolve(), flushed: Promise.resolve() };
    return { committed: group.committed.promise, flushed: group.flushed.promise };
  }

  /** When all that a read transaction begun now may contain is flushed: LMDB can be ahead of what it has told us. */
  startedFlushed(): Promise<void> {
    return this.#started.at(-1)?.flushed.promise ?? Promise.resolve();
  }

  /** Resolves, after a failure too, when LMDB works on nothing any more. */
  async idle(): Promise<void> {
    for (;;) {
      const { flushed } = this.newest();
      await flushed.catch(() => {});
      if (this.#started.length === 0 && (this.#failure || this.#waiting.batch.length === 0)) return;
      if (this.#failure) await this.#drained.promise;
    }
  }

  #start(): void {
    const group = this.#waiting;
    if (this.#failure || group.batch.length === 0 || this.#started.length >= COMMITS_IN_FLIGHT_MAX) return;
    // The order of commits is the order of starts only if one begins when readers can see the one before.
    if (this.#started.at(-1)?.state === 'writing') return;
    group.state = 'writing';
    this.#started.push(group);
    this.#waiting = this.#group();
    this.#root.env.startWriting(group.batch.seal(), (status) => this.#onStatus(group, status));
  }

  #onStatus(group: Group, status: number): void {
    if (status === VISIBLE) this.#visible(group);
    else if (status === FLUSHED) this.#flushed(group);
    else this.#failed(group, status);
  }

  #visible(group: Group): void {
    if (this.#failure || group.state !== 'writing') return;
    group.state = 'visible';
    this.#root.resetReadTxn();
    group.batch.dropOverlay();
    group.committed.resolve();
    this.#start();
  }

  #flushed(group: Group): void {
    this.#visible(group);
    group.state = 'ended';
    // In order: a later flush says nothing of an earlier one that may yet report a failure.
    while (this.#started[0]?.state === 'ended') {
      const ended = this.#started.shift() as Group;
      if (!this.#failure) ended.flushed.resolve();
      ended.batch.reset();
      this.#emptyBatches.push(ended.batch);
    }
    if (this.#failure && this.#started.length === 0) this.#drained.resolve();
    this.#start();
  }

  #failed(group: Group, status: number): void {
    group.state = 'ended';
    this.#failure ??= writeFailed(status);
    for (const pending of [...this.#started, this.#waiting]) {
      pending.committed.reject(this.#failure);
      pending.flushed.reject(this.#failure);
    }
    while (this.#started[0]?.state === 'ended') this.#started.shift();
    if (this.#started.length === 0) this.#drained.resolve();
  }

  #group(): Group {
    const group: Group = {
      batch: this.#emptyBatches.pop() ?? new WriteBatch(this.#pool),
      committed: Promise.withResolvers(),
      flushed: Promise.withResolvers(),
      state: 'waiting',
    };
    // Whoever awaits them gets the failure; nobody has to.
    group.committed.promise.catch(() => {});
    group.flushed.promise.catch(() => {});
    return group;
  }
}

function writeFailed(status: number): PinfoldError {
  const cause = errorOf(status);
  return new PinfoldError(
    'STORAGE_FAILED',
    `writing to the store failed: ${cause.message}. Check the disk and its free space, then start again`,
    { cause, facts: { status: String(status) } },
  );
}

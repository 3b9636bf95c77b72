import type { Commit, Storage, Transaction } from '../storage/storage.ts';

/** What changed in memory along with a transaction that may yet fail to be queued. */
export interface UnsettledChange {
  /** Whether the transaction has been queued, or is the one given. */
  isQueued(tx: Transaction): boolean;
  undo(): void;
}

/**
 * Keeps memory in step with transactions that others run: a transaction whose function throws, after it has called us, writes
 * nothing, and nobody tells us. So each change leaves a row behind, and before the next change, or once the running code is
 * done, we look whether that row is there; if not, the change in memory is undone.
 */
export class Unsettled {
  readonly #storage: Storage;
  readonly #onQueued: (commit: Commit<void>) => void;
  readonly #onFailure: (failure: unknown) => void;
  #changes: UnsettledChange[] = [];

  /** `onQueued` is told of a commit that covers all changes so far; `onFailure` that the store takes no more. */
  constructor(storage: Storage, onQueued: (commit: Commit<void>) => void, onFailure: (failure: unknown) => void) {
    this.#storage = storage;
    this.#onQueued = onQueued;
    this.#onFailure = onFailure;
  }

  /** To be called before each change. */
  check(tx: Transaction): void {
    for (let last = this.#changes.at(-1); last !== undefined && !last.isQueued(tx); last = this.#changes.at(-1)) {
      this.#changes.pop();
      last.undo();
    }
  }

  add(change: UnsettledChange): void {
    if (this.#changes.length === 0) queueMicrotask(() => this.#settle());
    this.#changes.push(change);
  }

  #settle(): void {
    let commit: Commit<void>;
    try {
      commit = this.#storage.transaction((tx) => this.check(tx));
    } catch (failure) {
      this.#changes = [];
      this.#onFailure(failure);
      return;
    }
    const anyQueued = this.#changes.length > 0;
    this.#changes = [];
    if (anyQueued) this.#onQueued(commit);
  }
}

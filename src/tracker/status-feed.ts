import { hash } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import { StatusFeedRowSchema, type StatusState } from '../../gen/pinfold/store/v1/store_pb.ts';
import { byteString } from '../model/bytes.ts';
import { revisionMark } from '../model/revision-mark.ts';
import type { WishStatus } from '../model/status.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Random } from '../runtime/random.ts';
import type { Reader, Storage, Transaction } from '../storage/storage.ts';
import { TRIM_ROWS_MAX } from './constants.ts';
import type { TrackerOptions } from './options.ts';
import { storedFeedRow } from './stored.ts';
import { numberKey, numberOf, statusFeedTable } from './tables.ts';
import type { StatusFeed } from './tracker.ts';

const incarnationBytes = 8;

interface OldRow {
  revision: number;
  changes: number;
  timeMs: number;
}

export interface StatusFeedNeeds {
  storage: Storage;
  clock: Clock;
  random: Random;
  history: () => Uint8Array;
}

/** The feed of status changes, one row a group. Grows and is trimmed with the groups. */
export class StoredStatusFeed implements StatusFeed {
  readonly #options: Pick<TrackerOptions, 'feedAgeMs' | 'feedChangesMax'>;
  readonly #needs: StatusFeedNeeds;
  readonly #told: (cid: Uint8Array) => WishStatus;
  #incarnation: Uint8Array = new Uint8Array(0);
  #revision = 0;
  /** Of the group under way, else the same. */
  #written = 0;
  #first = 1;
  #changes = 0;
  #exceeded = Promise.withResolvers<void>();

  constructor(
    options: Pick<TrackerOptions, 'feedAgeMs' | 'feedChangesMax'>,
    needs: StatusFeedNeeds,
    told: (cid: Uint8Array) => WishStatus,
  ) {
    this.#options = options;
    this.#needs = needs;
    this.#told = told;
  }

  /** A copy of the store, or an older one put back, has the same rows and goes on otherwise. */
  get incarnation(): Uint8Array {
    const history = this.#needs.history();
    return hash('sha256', Buffer.concat([this.#incarnation, history]), 'buffer').subarray(0, incarnationBytes);
  }

  get revision(): number {
    return this.#revision;
  }

  mark(revision: number): Uint8Array | undefined {
    return revisionMark(revision, () => this.#read.get(statusFeedTable, numberKey(revision)));
  }

  open(state: StatusState | undefined): void {
    this.#incarnation = state?.incarnation ?? this.#needs.random.bytes(incarnationBytes);
    this.#revision = this.#written = Number(state?.revision ?? 0n);
    this.#first = Number(state?.feedFirst ?? 1n);
    this.#changes = Number(state?.feedChanges ?? 0n);
  }

  /** The state is lost: nobody goes on from what was told before, and what is left of it is trimmed in its time. */
  openAnew(): void {
    this.open(undefined);
    let first: number | undefined;
    for (const { key, value } of this.#read.range(statusFeedTable)) {
      first ??= numberOf(key);
      this.#revision = this.#written = numberOf(key);
      this.#changes += storedFeedRow(value)?.cids.length ?? 0;
    }
    this.#first = first ?? 1;
  }

  state(): { incarnation: Uint8Array; revision: bigint; feedFirst: bigint; feedChanges: bigint } {
    return {
      incarnation: this.#incarnation,
      revision: BigInt(this.#written),
      feedFirst: BigInt(this.#first),
      feedChanges: BigInt(this.#changes),
    };
  }

  /** Rows that may have to go. */
  oldest(): OldRow[] {
    const range = { from: numberKey(this.#first), limit: TRIM_ROWS_MAX };
    return Array.from(this.#read.range(statusFeedTable, range), ({ key, value }) => {
      const { cids = [], timeMs = 0n } = storedFeedRow(value) ?? {};
      return { revision: numberOf(key), changes: cids.length, timeMs: Number(timeMs) };
    });
  }

  append(tx: Transaction, changes: readonly { cid: Uint8Array }[], oldest: readonly OldRow[]): void {
    const nowMs = this.#needs.clock.nowMs();
    this.#written++;
    const row = create(StatusFeedRowSchema, { timeMs: BigInt(nowMs), cids: changes.map(({ cid }) => cid) });
    tx.put(statusFeedTable, numberKey(this.#written), toBinary(StatusFeedRowSchema, row));
    this.#changes += changes.length;
    for (const old of oldest) {
      const isYoung = nowMs - old.timeMs <= this.#options.feedAgeMs;
      if (isYoung && this.#changes <= this.#options.feedChangesMax) break;
      tx.remove(statusFeedTable, numberKey(old.revision));
      this.#changes -= old.changes;
      this.#first = old.revision + 1;
    }
  }

  flushed(): void {
    if (this.#revision === this.#written) return;
    this.#revision = this.#written;
    this.#exceeded.resolve();
    this.#exceeded = Promise.withResolvers();
  }

  read(revision: number, limit: number): { revision: number; rows: WishStatus[] } | 'gone' {
    if (revision > this.#revision || revision < this.#first - 1) return 'gone';
    const cids = new Map<string, Uint8Array>();
    let reached = revision;
    const range = { from: numberKey(revision + 1), to: numberKey(this.#revision + 1) };
    for (const { key, value } of this.#read.range(statusFeedTable, range)) {
      const row = storedFeedRow(value);
      if (row === undefined) return 'gone'; // What it named is not known any more.
      for (const cid of row.cids) cids.set(byteString(cid), cid);
      reached = numberOf(key);
      if (cids.size >= limit) break;
    }
    return { revision: reached, rows: Array.from(cids.values(), this.#told) };
  }

  async wait(revision: number, { signal }: { signal: AbortSignal }): Promise<void> {
    const aborted = Promise.withResolvers<never>();
    const onAbort = () => aborted.reject(signal.reason);
    signal.throwIfAborted();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      while (this.#revision <= revision) await Promise.race([this.#exceeded.promise, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  get #read(): Reader {
    return this.#needs.storage.read;
  }
}

import { PinfoldError } from '../model/errors.ts';
import { revisionMark } from '../model/revision-mark.ts';
import type { Storage } from '../storage/storage.ts';
import { decodeFeedRow, type FeedRow } from './codec/feed-row.ts';
import { Malformed } from './codec/reader.ts';
import { FEED_WAITERS_MAX } from './constants.ts';
import type { Feed, FeedEntry } from './pinset.ts';
import { feedTable } from './tables.ts';

interface Waiter {
  revision: number;
  flushed: boolean;
  resolve(): void;
  reject(reason: unknown): void;
}

/** Rows of the feed table, and who waits for the next. */
export class StoredFeed implements Feed {
  readonly #storage: Storage;
  readonly #waiters = new Set<Waiter>();
  #committed = 0;
  #flushed = 0;
  #failure: unknown;

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  get revision(): number {
    return this.#committed;
  }

  get flushedRevision(): number {
    return this.#flushed;
  }

  mark(revision: number): Uint8Array | undefined {
    return revisionMark(revision, () => this.#storage.read.get(feedTable, revisionKey(revision)));
  }

  read(revision: number, limit: number): FeedEntry[] | 'gone' {
    if (revision > this.#committed) return 'gone';
    const entries: FeedEntry[] = [];
    let keys = 0;
    let expected = revision + 1;
    for (const { key, value } of this.#storage.read.range(feedTable, { from: revisionKey(expected) })) {
      if (keyRevision(key) !== expected) return 'gone';
      const row = feedRowFromDisk(expected, value);
      entries.push({ revision: expected, everything: row.everything, keys: row.keys });
      keys += row.keys.length;
      expected++;
      if (keys >= limit || entries.length >= limit) break;
    }
    return entries.length === 0 && revision < this.#committed ? 'gone' : entries;
  }

  wait(revision: number, { flushed, signal }: { flushed: boolean; signal: AbortSignal }): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (this.#failure !== undefined) return reject(this.#failure);
      if ((flushed ? this.#flushed : this.#committed) > revision) return resolve();
      if (this.#waiters.size >= FEED_WAITERS_MAX) {
        return reject(new PinfoldError('LIMIT_REACHED', `${FEED_WAITERS_MAX} callers wait for changes already`));
      }
      const onAbort = () => {
        this.#waiters.delete(waiter);
        reject(signal.reason);
      };
      const done = (settle: () => void) => {
        this.#waiters.delete(waiter);
        signal.removeEventListener('abort', onAbort);
        settle();
      };
      const waiter: Waiter = {
        revision,
        flushed,
        resolve: () => done(resolve),
        reject: (reason) => done(() => reject(reason)),
      };
      this.#waiters.add(waiter);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  committed(revision: number): void {
    this.#committed = Math.max(this.#committed, revision);
    this.#wake();
  }

  flushed(revision: number): void {
    this.#committed = Math.max(this.#committed, revision);
    this.#flushed = Math.max(this.#flushed, revision);
    this.#wake();
  }

  /** Nothing more will come: whoever waits, now or later, gets the reason. */
  fail(failure: unknown): void {
    this.#failure ??= failure;
    for (const waiter of [...this.#waiters]) waiter.reject(this.#failure);
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) {
      if ((waiter.flushed ? this.#flushed : this.#committed) > waiter.revision) waiter.resolve();
    }
  }
}

export function revisionKey(revision: number): Uint8Array {
  const key = Buffer.alloc(8);
  key.writeUInt32BE(Math.floor(revision / 0x1_0000_0000), 0);
  key.writeUInt32BE(revision >>> 0, 4);
  return key;
}

export function keyRevision(key: Uint8Array): number {
  const bytes = Buffer.from(key.buffer, key.byteOffset, key.length);
  return bytes.readUInt32BE(0) * 0x1_0000_0000 + bytes.readUInt32BE(4);
}

/** Throws DATA_CORRUPT. */
export function feedRowFromDisk(revision: number, bytes: Uint8Array): FeedRow {
  try {
    return decodeFeedRow(bytes);
  } catch (cause) {
    if (!(cause instanceof Malformed)) throw cause;
    throw new PinfoldError('DATA_CORRUPT', `the feed row of revision ${revision} is damaged (${cause.message})`, {
      cause,
    });
  }
}

/** The last revision in a state; 0: none. */
export function lastRevision(reader: Storage['read']): number {
  for (const { key } of reader.range(feedTable, { reverse: true, limit: 1 })) return keyRevision(key);
  return 0;
}

import type { PinfoldError } from '../model/errors.ts';
import type { Pin, PinKey } from '../model/pin.ts';
import type { Reader, Transaction } from '../storage/storage.ts';
import type { Scrub } from './scrub/scrub.ts';
import type { TableSet } from './tables.ts';

/**
 * The pins of a cluster as one peer has them, with indexes, change feed and digest: the same under every consensus.
 *
 * Two table sets, A and B, each hold rows, indexes and digest. One is live; the other is empty, or a _shadow_ being
 * filled, which becomes live by one swap (docs/protocol.md B1 to B6).
 *
 * Every transaction that writes pins advances the _revision_, which counts this store's transactions and means nothing
 * elsewhere. Reads see what is committed, maybe not flushed; what may leave the peer comes from `snapshot`.
 */
export interface Pinset {
  readonly names: Names;

  /** The live dots of a key, inside a transaction. An empty row: no such pin. */
  row(tx: Transaction, key: PinKey): PinRow;

  /**
   * Writes rows of the live set with indexes, digest and one feed row, and advances the revision: at most once a
   * transaction. `before` must be what `row` answered in it. Changes are of distinct keys, in any order.
   */
  write(tx: Transaction, changes: readonly RowChange[]): void;

  /**
   * Puts right what a disk has changed (docs/protocol.md section 8), beside `write` and as often: rows that could not be read, and
   * buckets whose digest is not that of their rows. On the disk with its digest at once.
   */
  mend(tx: Transaction, mending: Mending): void;

  /** The pin that is shown for a key. */
  get(key: PinKey): StoredPin | undefined;

  /** All claims on a CID, of either version given: what the tracker unites into a wish. */
  claims(cid: Uint8Array): StoredPin[];

  /** A page, from committed state; damaged rows are passed over. Throws INVALID_CURSOR. Synchronous: call again for the next page, so that others get a turn. */
  list(query: PinQuery): PinPage;

  /** Keys that have a row, in order, behind that one. Their rows are not looked at, so damaged ones are among them. */
  keys(behind: PinKey | undefined, limit: number): PinKey[];

  /** Live keys whose shown pin has expired by then, oldest first, but those whose row is damaged. */
  expired(nowMs: number, limit: number): StoredPin[];

  /** Number of pins. Cheap. */
  count(): number;

  /** Bytes of the live set, rows and indexes (pages in use). Cheap. */
  liveBytes(): number;

  readonly feed: Feed;
  readonly digest: Digest;
  readonly shadow: Shadow;
  readonly scrub: Scrub;

  /** Rows, digests and revision of one flushed state, for other peers. Held for a minute at most. */
  snapshot(): Promise<PinsetSnapshot>;

  /** Resolves when all that reads see now is on the disk. Rejects with STORAGE_FAILED. */
  flushed(): Promise<void>;

  /** Loads names and digest, replaying the feed from the last checkpoint. Called once, before all else. */
  open(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** The live dots of one key, sorted by (replica, sequence). Never changed once made. */
export type PinRow = readonly LiveDot[];

export interface LiveDot {
  /** Local number of the author's replica (`names.replicas`). */
  replica: number;
  sequence: number;
  /** Milliseconds x 1024 + counter. */
  stamp: number;
  /** pinfold.store.v1.PinValue, as it came. */
  value: Uint8Array;
  /** The placement register: who wrote it when. The dot's own stamp and replica until it is amended. */
  placementStamp: number;
  placementReplica: number;
  /** Local numbers of peers (`names.peers`). Empty: everywhere. */
  allocations: readonly number[];
}

export interface HashedRow {
  key: PinKey;
  row: PinRow;
  /** `rowHashString` of it, where it was made already. */
  hash?: string | undefined;
}

export interface RowChange {
  key: PinKey;
  before: PinRow;
  after: PinRow;
  /** `rowHashString` of what it is afterwards, where it was made already. */
  hash?: string | undefined;
}

export interface Mending {
  /** The set that this was found in; if it is not live any more, `mend` throws. */
  set: TableSet;
  changes: readonly RowChange[];
  /** Rows that cannot be read, and what is to stand in their place; empty: nothing. */
  unreadable: readonly { key: PinKey; after: PinRow }[];
  /** For a bucket: what is to be added to its digest, mod 2^128, so that it is that of the rows that could be read before. */
  corrections: readonly { bucket: number; add: bigint }[];
}

/**
 * Local numbers of replicas, peers and namespaces. Numbers are given once and never again to another. `ensure` writes a
 * transaction of its own when the name is new, so it is called before the transaction that uses the number, never in one.
 */
export interface Names {
  readonly replicas: NameTable<Uint8Array>;
  readonly peers: NameTable<string>;
  readonly namespaces: NameTable<string>;
}

export interface NameTable<T> {
  /** The number, given now if need be. Throws LIMIT_REACHED. */
  ensure(name: T): number;
  find(name: T): number | undefined;
  /** Throws if the number was never given: a defect. */
  name(number: number): T;
}

export interface StoredPin {
  readonly key: PinKey;
  readonly pin: Pin;
  /** First 16 bytes of SHA-256 over the key's live dots and placement stamps. */
  readonly etag: Uint8Array;
}

export type PinOrder = 'key' | 'name' | 'created' | 'created-descending';

export interface PinFilter {
  namespaces?: readonly string[];
  cids?: readonly Uint8Array[];
  nameEquals?: string;
  namePrefix?: string;
  metadata?: readonly (readonly [string, string])[];
  createdAfterMs?: number;
  createdBeforeMs?: number;
}

export interface PinQuery {
  filter: PinFilter;
  order: PinOrder;
  /** At most so many pins; the page may be shorter, or empty, and still not the last. */
  limit: number;
  cursor?: Uint8Array;
}

export interface PinPage {
  pins: StoredPin[];
  /** DATA_CORRUPT, naming the pin, for each row that cannot be read. Whether the filter would let it through, nobody knows. */
  damaged: PinfoldError[];
  /** Undefined: that was the last. Stays valid across writes and restarts, on this peer and, in order `key`, on any. */
  cursor: Uint8Array | undefined;
}

/** What changed, transaction by transaction. Kept for an hour at least, up to 1 GiB. */
export interface Feed {
  /**
   * Last committed revision. 0: nothing was ever written. This and `flushedRevision` may be behind by a few microtasks
   * when a transaction's own promise has just resolved; never ahead.
   */
  readonly revision: number;
  /** Last revision that is on the disk. */
  readonly flushedRevision: number;
  /** Of that revision (`revisionMark`); undefined where the feed does not reach back. */
  mark(revision: number): Uint8Array | undefined;
  /** Entries after `revision`, oldest first, at most about `limit` keys; 'gone' when the feed does not reach back so far. */
  read(revision: number, limit: number): FeedEntry[] | 'gone';
  /** Resolves when `feed.revision` (or `flushedRevision`) exceeds `revision`. Rejects with the signal's reason. */
  wait(revision: number, options: { flushed: boolean; signal: AbortSignal }): Promise<void>;
}

export interface FeedEntry {
  revision: number;
  /** Everything may have changed, at a swap that named too many keys. */
  everything: boolean;
  keys: PinKey[];
}

/** Sums of row hashes in 65,536 buckets (docs/protocol.md section 8). 16 bytes a bucket. */
export interface Digest {
  /** SHA-256 over all buckets, as of the last queued transaction: the same at peers that hold the same pins. */
  root(): Uint8Array;
  bucket(bucket: number): Uint8Array;
  /** Of the buckets [from, to), one after the other. */
  buckets(from: number, to: number): Uint8Array;
}

export interface PinsetSnapshot {
  readonly revision: number;
  /** Of these rows. */
  readonly digest: Digest;
  /** Rows of buckets [from, to) in key order. Lazy; must be finished or closed before the next await. */
  rows(fromBucket: number, toBucket: number, after?: PinKey): Iterable<{ key: PinKey; row: PinRow }>;
  /** Which tables are live in it, and the metadata keys whose index is complete. */
  readonly set: TableSet;
  readonly metadata: readonly string[];
  /** Reads another table in the same state (clocks beside rows). */
  readonly reader: Reader;
  close(): void;
}

/** The table set that is not live. All methods throw if no shadow stands, but `state` and `begin`. */
export interface Shadow {
  readonly state: 'none' | 'filling' | 'ready' | 'emptying';
  /** First bucket that is not filled yet; survives a restart. */
  readonly nextBucket: number;
  begin(): void;
  /**
   * Appends the rows of buckets [nextBucket, toBucket): whole buckets. Calls that leave `toBucket` where it is must be in
   * the same transaction as the one that moves it, so that a bucket is filled or not.
   */
  append(tx: Transaction, rows: readonly HashedRow[], toBucket: number): void;
  /** Row of a filled bucket, in a transaction. */
  row(tx: Transaction, key: PinKey): PinRow;
  /** Writes rows of filled buckets (catching up), digest included. No feed. Not before the indexes of what is filled are built. */
  write(tx: Transaction, changes: readonly RowChange[]): void;
  /** Builds the indexes of what is filled, a bounded piece a call; true when done, and the shadow ready if it is filled wholly. */
  buildIndexes(): Promise<boolean>;
  /**
   * Makes the shadow live, in this transaction: one revision, whose feed row names `changed`, or everything. The old set
   * is emptied in the background.
   */
  swap(tx: Transaction, changed: readonly PinKey[] | 'everything'): void;
  discard(): void;
}

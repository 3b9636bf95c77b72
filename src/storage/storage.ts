/**
 * An ordered key-value store with named tables, one writer and atomic transactions: what the pinset, the consensus and
 * the tracker keep their state in. Keys and values are bytes; keys order bytewise (memcmp) and have 1 to 511 bytes.
 *
 * A transaction passes three points, in order for all transactions:
 *   queued     `transaction(fn)` has returned: later transactions see it, `read` may not yet
 *   committed  `read` sees it; the process may die without losing it, the machine may not
 *   flushed    it is on the disk
 * Nothing that leaves the peer may speak of what is not flushed (docs/protocol.md F1).
 *
 * Byte arrays passed in belong to the storage from then on and must not be changed; byte arrays handed out are fresh.
 * After a write error (disk full, I/O) the storage is `failed`: every later call throws STORAGE_FAILED and what was
 * queued but not committed is gone as a whole.
 */
export interface Storage {
  /**
   * Runs `fn` at once, synchronously, and queues what it wrote as one atomic unit. If `fn` throws, nothing is
   * written and the error comes out of `transaction`. Not re-entrant: a transaction inside `fn` throws.
   */
  transaction<T>(fn: (tx: Transaction) => T): Commit<T>;

  /** What is committed, maybe not flushed. Not a snapshot: two calls may see two states; one `range` sees one. */
  readonly read: Reader;

  /**
   * One state, what `read` sees now (not what is only queued), readable until closed. Resolves when all of that state is flushed: what is read from it
   * may leave the peer. Open snapshots keep old pages from being reused: close soon, hold for a minute at most.
   */
  snapshot(): Promise<Snapshot>;

  /** Resolves when all that was queued before the call is on the disk. */
  flushed(): Promise<void>;

  /** Entries and bytes (pages in use times page size) of one table. Cheap. */
  tableSize(table: TableName): { entries: number; bytes: number };

  /** Bytes of the whole store on the device (the data file's length). */
  sizeBytes(): number;

  /** Flushes and closes. Snapshots still open become unusable. Calling it twice does nothing. */
  close(): Promise<void>;
}

export interface Commit<T> {
  /** What `fn` returned. */
  readonly value: T;
  /**
   * Rejects with STORAGE_FAILED when the write failed. Never left unhandled by the storage itself. For a transaction
   * that wrote nothing both points are those of what was queued before it, which it may have seen.
   */
  readonly committed: Promise<void>;
  readonly flushed: Promise<void>;
}

export interface Reader {
  get(table: TableName, key: Uint8Array): Uint8Array | undefined;
  /** Synchronous and lazy; the iterator must be finished or closed (`for...of` does) before the next await. */
  range(table: TableName, range?: Range): Iterable<Entry>;
}

export interface Entry {
  key: Uint8Array;
  value: Uint8Array;
}

export interface Range {
  /** First key, inclusive. Default: the first. */
  from?: Uint8Array;
  /** End, exclusive. Default: after the last. */
  to?: Uint8Array;
  /** From high to low; `from` and `to` keep their meaning. Default false. */
  reverse?: boolean;
  /** Default: no limit. */
  limit?: number;
}

/** Sees what was queued before it and its own writes, for `get`. */
export interface Transaction {
  get(table: TableName, key: Uint8Array): Uint8Array | undefined;
  put(table: TableName, key: Uint8Array, value: Uint8Array): void;
  /** Removing what is not there does nothing. */
  remove(table: TableName, key: Uint8Array): void;
}

export interface Snapshot extends Reader {
  /** Calling it twice does nothing. */
  close(): void;
}

/**
 * Tables are declared once, when a store is opened: `storage({tables})`. A table declared `writeOnly` cannot be read by
 * `Transaction.get` (it throws): its writes then need no place in the overlay, which is what makes indexes cheap.
 */
export interface TableSpec {
  name: TableName;
  writeOnly?: boolean;
}

export type TableName = string;

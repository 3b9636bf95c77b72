import * as lmdb from 'lmdb';

/**
 * What we use of lmdb-js beyond its documented interface, in one place: its version is pinned exactly, and the contract
 * suite fails when one of these changes its meaning. Sources: `write.js`, `read.js` and `src/writer.cpp` of lmdb 3.5.6.
 */
export interface NativeEnv {
  /** 0 once closed. */
  address: number;
  /**
   * Runs the write instructions at `address` (see WriteBatch) as one LMDB transaction, in a thread of libuv's pool.
   * Calls back with VISIBLE when readers can see it (not always: FLUSHED may come alone), then once with FLUSHED when
   * it is on the disk, or with an error number, and then nothing of it is written unless VISIBLE had come before.
   */
  startWriting(address: number, onStatus: (status: number) => void): void;
}

export const FLUSHED = 0;
export const VISIBLE = 1;

export interface NativeTxn {
  /** Gives back one `useReadTransaction()`. */
  done(): void;
}

/** One sub-database. */
export interface NativeTable {
  /** Copies the value to lmdb-js's global buffer and runs it through `encoder.decode`. */
  get(key: Uint8Array, options?: { transaction: NativeTxn }): Uint8Array | undefined;
  getRange(options: NativeRange): Iterable<{ key: Uint8Array; value: Uint8Array }>;
  readonly db: {
    readonly dbi: number;
    /** Needs a read transaction: `ensureReadTxn()` first. */
    stat(): {
      pageSize: number;
      treeBranchPageCount: number;
      treeLeafPageCount: number;
      overflowPages: number;
      entryCount: number;
    };
  };
}

export interface NativeRange {
  start?: Uint8Array;
  end?: Uint8Array;
  exclusiveStart?: boolean;
  inclusiveEnd?: boolean;
  reverse?: boolean;
  limit?: number;
  transaction?: NativeTxn;
}

/** The root database, which stands for the environment. */
export interface NativeRoot {
  readonly env: NativeEnv;
  openDB(options: object): NativeTable;
  ensureReadTxn(): void;
  /** The next read begins a read transaction of the newest state; those still in use stay as they are. */
  resetReadTxn(): void;
  useReadTransaction(): NativeTxn;
  sync(done: (error?: unknown) => void): void;
  close(): Promise<void>;
}

export function nativeRoot(root: lmdb.RootDatabase): NativeRoot {
  return root as unknown as NativeRoot;
}

interface Addon {
  getAddress(buffer: ArrayBuffer): number;
  /** Throws the error that belongs to an LMDB or system error number. */
  lmdbError(status: number): void;
}

const addon = (lmdb as unknown as { nativeAddon: Addon }).nativeAddon;

export function addressOf(buffer: ArrayBuffer): number {
  return addon.getAddress(buffer);
}

export function errorOf(status: number): Error {
  try {
    addon.lmdbError(status);
  } catch (error) {
    return error as Error;
  }
  return new Error(`LMDB error ${status}`);
}

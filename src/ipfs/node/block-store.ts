/** Where a node keeps its blocks, by multihash. What is put has been checked by the caller. */
export interface BlockStore {
  open(): Promise<void>;
  /** Resolves when all that was being written is on the disk. */
  close(): Promise<void>;
  /** Resolves when the block is on the disk, also when it had been there. Rejects with DISK_FULL or FAILED. */
  put(multihash: Uint8Array, bytes: Uint8Array): Promise<void>;
  /** Whether it is there. On the disk, that is, once `settled`. */
  has(multihash: Uint8Array): Promise<boolean>;
  get(multihash: Uint8Array): Promise<Uint8Array | undefined>;
  /** Resolves when every block that `has` told of before the call is on the disk; rejects when one failed. */
  settled(): Promise<void>;
  /**
   * Deletes a block, unless `keep` says otherwise at the last moment: `has`, `get` and `put` of the same block wait
   * from then on until it is gone. Resolves with the bytes freed, undefined if it was kept or had gone.
   */
  remove(multihash: Uint8Array, keep: () => boolean): Promise<number | undefined>;
  /** All blocks, in constant memory; what comes or goes meanwhile may or may not show. */
  list(): AsyncIterable<Uint8Array>;
  /** Bytes of all blocks; may be counted in the background, and be too low until that is through. */
  readonly usedBytes: number;
  /** Bytes that can still be written. */
  freeBytes(): Promise<number>;
}

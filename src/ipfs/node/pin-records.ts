import type { HoldMode } from '../connector.ts';

/** What the node has been told to hold, on the disk. Keys are CIDs of version 1. */
export interface PinRecords {
  open(): Promise<void>;
  close(): Promise<void>;
  get(cid: Uint8Array): HoldMode | undefined;
  /** Resolves when it is on the disk. Rejects with DISK_FULL or FAILED. */
  put(cid: Uint8Array, mode: HoldMode): Promise<void>;
  /** Resolves when it is on the disk. Removing what is not there does nothing. */
  remove(cid: Uint8Array): Promise<void>;
  /** Records that come or go meanwhile may or may not show. Holds one page in memory. */
  list(): AsyncIterable<{ cid: Uint8Array; mode: HoldMode }>;
}

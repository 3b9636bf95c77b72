import { open, type RootDatabase } from 'lmdb';
import type { HoldMode } from '../connector.ts';
import { LIST_PAGE_RECORDS } from '../constants.ts';
import { storeError } from './block-files.ts';

/** What the node has been told to hold, on the disk. Keys are CIDs of version 1. */
export interface PinRecords {
  get(cid: Uint8Array): HoldMode | undefined;
  /** Resolves when it is on the disk. Rejects with DISK_FULL or FAILED. */
  put(cid: Uint8Array, mode: HoldMode): Promise<void>;
  /** Resolves when it is on the disk. Removing what is not there does nothing. */
  remove(cid: Uint8Array): Promise<void>;
  /** In the order of the keys; records that come or go meanwhile may or may not show. Holds one page in memory. */
  list(): AsyncIterable<{ cid: Uint8Array; mode: HoldMode }>;
  close(): Promise<void>;
}

const modes: readonly (HoldMode | undefined)[] = [undefined, 'recursive', 'direct'];

/**
 * In an LMDB environment of their own, one small entry a pin: Helia's pins cost one for each block, and are said to be
 * there before they are. Transactions are flushed before they count as committed (`overlappingSync` off): there is
 * nothing to gain here from seeing them earlier.
 */
export function lmdbPinRecords(folder: string): PinRecords {
  const db: RootDatabase<Uint8Array, Uint8Array> = open({
    path: folder,
    keyEncoding: 'binary',
    encoding: 'binary',
    overlappingSync: false,
  });

  const settle = async (write: Promise<unknown>) => {
    try {
      await write;
      await db.flushed;
    } catch (cause) {
      throw storeError(cause);
    }
  };

  return {
    get: (cid) => modeOf(db.get(cid)),
    put: (cid, mode) => settle(db.put(cid, Uint8Array.of(modes.indexOf(mode)))),
    remove: (cid) => settle(db.remove(cid)),
    async *list() {
      let from: Uint8Array | undefined;
      for (;;) {
        const page = readPage(db, from);
        for (const { key, value } of page) {
          const mode = modeOf(value);
          if (mode !== undefined) yield { cid: Uint8Array.from(key), mode };
        }
        const last = page.at(-1);
        if (last === undefined || page.length < LIST_PAGE_RECORDS) return;
        from = after(last.key);
      }
    },
    close: () => db.close(),
  };
}

/** A page at a time and not one long range: an open read transaction keeps old pages from being used again. */
function readPage(db: RootDatabase<Uint8Array, Uint8Array>, from: Uint8Array | undefined) {
  const start = from === undefined ? {} : { start: from };
  return [...db.getRange({ ...start, limit: LIST_PAGE_RECORDS, snapshot: false })];
}

/** The least key that is greater. */
function after(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

function modeOf(value: Uint8Array | undefined): HoldMode | undefined {
  return value === undefined ? undefined : modes[value[0] as number];
}

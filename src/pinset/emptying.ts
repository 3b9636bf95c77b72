import type { Storage } from '../storage/storage.ts';
import { EMPTYING_ROWS_MAX } from './constants.ts';
import type { TableSet } from './tables.ts';

/** Removes a bounded number of rows of a dead set; how many. 0: the set is empty. */
export async function emptyPiece(storage: Storage, set: TableSet): Promise<number> {
  const { name: _, ...tables } = set;
  for (const table of Object.values(tables)) {
    const keys: Uint8Array[] = [];
    for (const { key } of storage.read.range(table, { limit: EMPTYING_ROWS_MAX })) keys.push(key);
    if (keys.length === 0) continue;
    await storage.transaction((tx) => {
      for (const key of keys) tx.remove(table, key);
    }).committed;
    return keys.length;
  }
  return 0;
}

import type { Storage } from '../storage/storage.ts';
import { FEED_TRIM_BYTES_MAX, FEED_TRIM_ROWS_MAX } from './constants.ts';
import { feedRowFromDisk, keyRevision, revisionKey } from './feed.ts';
import { feedTable } from './tables.ts';

export interface TrimBounds {
  nowMs: number;
  feedAgeMs: number;
  feedBytesMax: number;
  /** First revision that must stay: the digest on disk is brought forward from there, and the last one is the counter. */
  keepFrom: number;
}

/** Removes the oldest rows that are too old or too much, a bounded piece; how many. */
export async function trimPiece(storage: Storage, bounds: TrimBounds): Promise<number> {
  const keys: Uint8Array[] = [];
  let surplus = storage.tableSize(feedTable).bytes - bounds.feedBytesMax;
  let bytes = 0;
  for (const { key, value } of storage.read.range(feedTable, {
    to: revisionKey(bounds.keepFrom),
    limit: FEED_TRIM_ROWS_MAX,
  })) {
    const isOld = feedRowFromDisk(keyRevision(key), value).timeMs <= bounds.nowMs - bounds.feedAgeMs;
    if (!isOld && surplus <= 0) break;
    keys.push(key);
    surplus -= value.length;
    bytes += value.length;
    if (bytes >= FEED_TRIM_BYTES_MAX) break;
  }
  if (keys.length === 0) return 0;
  await storage.transaction((tx) => {
    for (const key of keys) tx.remove(feedTable, key);
  }).committed;
  return keys.length;
}

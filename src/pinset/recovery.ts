import { isPinfoldError } from '../model/errors.ts';
import type { PinKey } from '../model/pin.ts';
import { bucketOf } from '../model/pin-key.ts';
import { sleep, type Timers } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { mark } from '../runtime/mark.ts';
import type { Reader, Storage } from '../storage/storage.ts';
import { DIGEST_BYTES } from './codec/feed-row.ts';
import { INDEXING_ROWS_MAX } from './constants.ts';
import type { DigestSums } from './digest-sums.ts';
import { feedRowFromDisk, keyRevision, revisionKey } from './feed.ts';
import type { StoredNames } from './names.ts';
import type { PinRow } from './pinset.ts';
import { rowHash } from './row-hash.ts';
import { rowFromDisk } from './rows.ts';
import { feedTable, type TableSet } from './tables.ts';

/** Adds what the feed says of the revisions behind `checkpoint`. False: the feed does not have all of them. */
export function replay(sums: DigestSums, reader: Reader, checkpoint: number, revision: number): boolean {
  if (revision > checkpoint) mark('pinset: the digest is brought forward by the feed');
  if (checkpoint > revision) return false;
  let expected = checkpoint + 1;
  for (const { key, value } of reader.range(feedTable, { from: revisionKey(expected) })) {
    if (keyRevision(key) !== expected) return false;
    const row = feedRowFromDisk(expected, value);
    for (let i = 0; i < row.keys.length; i++) {
      const change = row.digestChanges[i] as Uint8Array;
      if (change.length !== DIGEST_BYTES) return false;
      sums.add(bucketOf(row.keys[i] as Uint8Array), change);
    }
    expected++;
  }
  return expected === revision + 1;
}

/** Reads all rows: 10 s a million. One that cannot be read is left to the scrub, and to those who ask for it. */
export async function recount(
  sums: DigestSums,
  needs: { storage: Storage; timers: Timers; logger: Logger },
  names: StoredNames,
  set: TableSet,
): Promise<void> {
  mark('pinset: the digest is counted anew');
  sums.clear();
  for (let from = Uint8Array.of(0), rows = INDEXING_ROWS_MAX; rows === INDEXING_ROWS_MAX; ) {
    rows = 0;
    for (const { key, value } of needs.storage.read.range(set.pins, { from, limit: INDEXING_ROWS_MAX })) {
      const row = readable(names, key, value, needs.logger);
      if (row !== undefined) sums.add(bucketOf(key), rowHash(names, key, row));
      from = Uint8Array.of(...key, 0);
      rows++;
    }
    await sleep(needs.timers, 0);
  }
}

function readable(names: StoredNames, key: PinKey, value: Uint8Array, logger: Logger): PinRow | undefined {
  try {
    return rowFromDisk(names, key, value);
  } catch (problem) {
    if (!isPinfoldError(problem, 'DATA_CORRUPT')) throw problem;
    logger.error('a row is left out of the digest', { problem: problem.message });
    return undefined;
  }
}

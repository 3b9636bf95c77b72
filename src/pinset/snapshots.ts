import type { PinKey } from '../model/pin.ts';
import { bucketCount, bucketOf } from '../model/pin-key.ts';
import type { Range, Snapshot } from '../storage/storage.ts';
import { decodeFeedRow } from './codec/feed-row.ts';
import type { DigestSums } from './digest-sums.ts';
import type { StoredNames } from './names.ts';
import type { PinRow, PinsetSnapshot } from './pinset.ts';
import { rowFromDisk } from './rows.ts';
import { sumBytes } from './scrub/sum.ts';
import { setsIn } from './sets-state.ts';
import { tableSets } from './tables.ts';

/** A revision that is queued and not known to be committed. */
export interface InFlight {
  readonly revision: number;
  /** Undefined: a swap. */
  readonly feedRow: Uint8Array | undefined;
  /** What was added to the digest beside the changes in the feed row. */
  readonly corrections: readonly { bucket: number; add: bigint }[];
}

/** `digest`: of this state. */
export function pinsetSnapshot(
  reader: Snapshot,
  { names, digest, revision }: { names: StoredNames; digest: DigestSums; revision: number },
): PinsetSnapshot {
  const { live, metadata } = setsIn(reader);
  const set = tableSets[live];
  return {
    revision,
    digest,
    reader,
    set,
    metadata,
    rows: (from, to, behind) => rowsOf(names, reader, set.pins, bucketRange(from, to, behind)),
    close: () => reader.close(),
  };
}

/** Makes the digest of the last queued state that of the one before `inFlight`. */
export function takeBack(digest: DigestSums, { feedRow, corrections }: InFlight): void {
  if (feedRow === undefined) return;
  const { keys, digestChanges } = decodeFeedRow(feedRow);
  keys.forEach((key, i) => {
    const change = digestChanges[i] as Uint8Array;
    if (change.length > 0) digest.subtract(bucketOf(key), change);
  });
  for (const { bucket, add } of corrections) digest.subtract(bucket, sumBytes(add));
}

function bucketRange(from: number, to: number, behind: PinKey | undefined): Range {
  const range: Range = { from: behind === undefined ? bucketStart(from) : Buffer.concat([behind, Buffer.of(0)]) };
  return to >= bucketCount ? range : { ...range, to: bucketStart(to) };
}

function bucketStart(bucket: number): Uint8Array {
  return Buffer.of(bucket >> 8, bucket & 255);
}

function* rowsOf(
  names: StoredNames,
  reader: Snapshot,
  table: string,
  range: Range,
): Iterable<{ key: PinKey; row: PinRow }> {
  for (const { key, value } of reader.range(table, range)) yield { key, row: rowFromDisk(names, key, value) };
}

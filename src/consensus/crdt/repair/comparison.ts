import { equalBytes } from '../../../model/bytes.ts';
import { bucketCount } from '../../../model/pin-key.ts';
import { DIGEST_BYTES } from '../../../pinset/codec/feed-row.ts';
import type { PinsetSnapshot } from '../../../pinset/pinset.ts';
import type { Timers } from '../../../runtime/clock.ts';
import { clockEntry } from '../codec/clock-entries.ts';
import { clockOf } from '../codec/range-head.ts';
import type { PeerCalls } from '../peer-calls.ts';
import type { CrdtStore } from '../state/store.ts';
import { askDigests } from './bucket-client.ts';
import { isLeftOut, type LeftOut, leftOutBetween } from './left-out.ts';

/** So much is compared at once before it is looked at bucket by bucket: nearly all is equal. Divides what all buckets are. */
const COMPARED_BYTES = 256 * DIGEST_BYTES;

export interface Comparison {
  /** Buckets whose digests differ, without those left out. */
  readonly unequal: readonly number[];
  readonly leftOut: LeftOut;
  /** Buckets that the other knows to be damaged on its side. */
  readonly damagedThere: readonly number[];
}

/**
 * Digests under load: bucket by bucket, without those in which one of the two has taken in an operation that the other has not. By
 * I2 the rest must be equal, whatever the clocks.
 */
export async function compareDigests(
  { store, rpc, timers }: { store: CrdtStore; rpc: PeerCalls; timers: Timers },
  peerId: string,
  signal: AbortSignal,
): Promise<Comparison> {
  const snapshot = await store.needs.pinset.snapshot();
  try {
    const clock = clockOf(snapshot.reader).map(({ name, sequence, hash }) => clockEntry(name.rid, sequence, hash));
    const theirs = await askDigests(rpc, peerId, clock, signal);
    const ahead = await leftOutBetween({ reader: snapshot.reader, other: theirs.clock, store, timers, signal });
    const leftOut = joined(ahead, theirs.leftOut);
    return { unequal: unequalBuckets(snapshot, theirs.digests, leftOut), leftOut, damagedThere: theirs.damaged };
  } finally {
    snapshot.close();
  }
}

function joined(a: LeftOut, b: LeftOut): LeftOut {
  return a === 'all' || b === 'all' ? 'all' : new Set([...a, ...b]);
}

function unequalBuckets({ digest }: PinsetSnapshot, theirs: Uint8Array, leftOut: LeftOut): number[] {
  if (leftOut === 'all') return [];
  const mine = digest.buckets(0, bucketCount);
  const isEqual = (from: number, to: number) => equalBytes(mine.subarray(from, to), theirs.subarray(from, to));
  const unequal: number[] = [];
  for (let piece = 0; piece < mine.length; piece += COMPARED_BYTES) {
    if (isEqual(piece, piece + COMPARED_BYTES)) continue;
    for (let at = piece; at < piece + COMPARED_BYTES; at += DIGEST_BYTES) {
      const bucket = at / DIGEST_BYTES;
      if (!isEqual(at, at + DIGEST_BYTES) && !isLeftOut(leftOut, bucket)) unequal.push(bucket);
    }
  }
  return unequal;
}

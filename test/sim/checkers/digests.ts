import { bucketOf } from '../../../src/model/pin-key.ts';
import { decodePinRow } from '../../../src/pinset/codec/pin-row.ts';
import type { Names } from '../../../src/pinset/pinset.ts';
import { rowHash } from '../../../src/pinset/row-hash.ts';
import { setsIn } from '../../../src/pinset/sets-state.ts';
import { tableSets } from '../../../src/pinset/tables.ts';
import type { SimProcess } from '../world/sim-process.ts';
import { Violation } from '../world/violation.ts';
import type { DamagedStore } from './damages.ts';
import { hexOf } from './hex.ts';

/**
 * The digest is the sum of its rows (docs/protocol.md section 8), of rows read from the disk; `keys` are those that ever had one. Not
 * where it is known to be damaged, until it is whole.
 */
export function checkDigest({ name, disk, core }: SimProcess, keys: Iterable<string>, damaged: DamagedStore): void {
  // It is of what is queued: comparable only when all of that is on the disk.
  if (!disk.isSettled) return;
  const sums = new Map<number, bigint>();
  for (const key of keys) sums.set(bucketOf(Buffer.from(key.slice(0, 4), 'hex')), 0n);
  for (const { key, value } of disk.read.range(tableSets[setsIn(disk.read).live].pins)) {
    const bucket = bucketOf(key);
    const hash = hashOf(core.pinset.names, key, value, damaged.buckets.has(bucket));
    if (hash === undefined) continue;
    sums.set(bucket, BigInt.asUintN(128, (sums.get(bucket) ?? 0n) + BigInt(`0x${hexOf(hash.subarray(0, 16))}`)));
  }
  for (const [bucket, sum] of sums) {
    const is = hexOf(core.pinset.digest.bucket(bucket));
    const should = sum.toString(16).padStart(32, '0');
    if (is === should) damaged.buckets.delete(bucket);
    else if (!damaged.buckets.has(bucket))
      throw new Violation('DIGEST', `bucket ${bucket} of ${name} is ${is}, its rows make ${should}`);
  }
}

function hashOf(names: Names, key: Uint8Array, value: Uint8Array, isDamaged: boolean): Uint8Array | undefined {
  try {
    return rowHash(names, key, decodePinRow(value));
  } catch (problem) {
    if (isDamaged) return undefined;
    throw problem;
  }
}

import { byteString } from '../../../model/bytes.ts';
import { bucketOf } from '../../../model/pin-key.ts';
import { sleep, type Timers } from '../../../runtime/clock.ts';
import type { Reader } from '../../../storage/storage.ts';
import { decodeOperations } from '../codec/operations.ts';
import { clockOf } from '../codec/range-head.ts';
import { decodeSignedBatch } from '../codec/signed-batch.ts';
import { LEFT_OUT_OPERATIONS_MAX } from '../constants.ts';
import { logKey } from '../state/keys.ts';
import type { Replicas } from '../state/replicas.ts';
import { logTable } from '../tables.ts';

/** Buckets in which two peers may rightly differ. */
export type LeftOut = ReadonlySet<number> | 'all';

export function isLeftOut(leftOut: LeftOut, bucket: number): boolean {
  return leftOut === 'all' || leftOut.has(bucket);
}

/**
 * The buckets of all operations that the clock of a state covers and the other clock does not. 'all': the log does not reach back so
 * far, or they are too many.
 */
export async function leftOutBetween(
  reader: Reader,
  other: ReadonlyMap<string, number>,
  { replicas, timers, signal }: { replicas: Replicas; timers: Timers; signal: AbortSignal },
): Promise<LeftOut> {
  const buckets = new Set<number>();
  let operations = 0;
  for (const { name, sequence } of clockOf(reader)) {
    const ridText = byteString(name.rid);
    const replica = replicas.taken(ridText);
    let taken = other.get(ridText) ?? 0;
    if (taken >= sequence) continue;
    if (replica === undefined || taken < replica.floor) return 'all';
    operations += sequence - taken;
    if (operations > LEFT_OUT_OPERATIONS_MAX) return 'all';
    while (taken < sequence) {
      const batch = nextBatch(reader, replica.number, taken);
      if (batch === undefined) return 'all';
      taken = batch.last;
      for (const { key } of decodeOperations(batch.ops).operations) buckets.add(bucketOf(key));
      await sleep(timers, 0, signal); // Others get their turn.
    }
  }
  return buckets;
}

function nextBatch(reader: Reader, replica: number, taken: number): { ops: Uint8Array; last: number } | undefined {
  const range = { from: logKey(replica, taken + 1), to: logKey(replica + 1, 0), limit: 1 };
  for (const { key, value } of reader.range(logTable, range)) {
    return { ops: decodeSignedBatch(value).ops, last: Number(Buffer.from(key).readBigUInt64BE(4)) };
  }
  return undefined;
}

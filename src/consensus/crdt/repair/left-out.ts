import { byteString } from '../../../model/bytes.ts';
import { bucketOf } from '../../../model/pin-key.ts';
import { sleep, type Timers } from '../../../runtime/clock.ts';
import type { Reader } from '../../../storage/storage.ts';
import { decodeOperations } from '../codec/operations.ts';
import { clockOf } from '../codec/range-head.ts';
import { LEFT_OUT_OPERATIONS_MAX } from '../constants.ts';
import type { DottedOperation } from '../core/bring-on.ts';
import type { Batch } from '../core/types.ts';
import { unlessLogDamaged } from '../log/kept-batch.ts';
import { localBatch, localOperation } from '../log/local-batch.ts';
import type { Replica } from '../state/replicas.ts';
import type { CrdtStore } from '../state/store.ts';

/** Buckets in which two peers may rightly differ. */
export type LeftOut = ReadonlySet<number> | 'all';

export function isLeftOut(leftOut: LeftOut, bucket: number): boolean {
  return leftOut === 'all' || leftOut.has(bucket);
}

interface Difference {
  /** One flushed state, and the clock of the other peer. */
  readonly reader: Reader;
  readonly other: ReadonlyMap<string, number>;
  readonly store: CrdtStore;
  readonly timers: Timers;
  readonly signal: AbortSignal;
}

/**
 * The buckets of all operations that the clock of a state covers and the other clock does not. 'all': the log does not reach back so
 * far, or they are too many.
 */
export async function leftOutBetween(difference: Difference): Promise<LeftOut> {
  const buckets = new Set<number>();
  const isWhole = await eachBatch(difference, (batch) => {
    for (const { key } of decodeOperations(batch.ops).operations) buckets.add(bucketOf(key));
  });
  return isWhole ? buckets : 'all';
}

export interface OperationsSince {
  readonly byKey: ReadonlyMap<string, readonly DottedOperation[]>;
  /** The log has all of them. */
  readonly isWhole: boolean;
}

/** Those operations, as far as the log has them, of which the key is one of these. */
export async function operationsOn(keys: ReadonlySet<string>, difference: Difference): Promise<OperationsSince> {
  const byKey = new Map<string, DottedOperation[]>();
  const isWhole = await eachBatch(difference, (logged, { number }) => {
    const batch = localBatch(logged, difference.store.needs.pinset.names);
    for (const [position, { key }] of batch.content.operations.entries()) {
      const text = byteString(key);
      if (!keys.has(text)) continue;
      const operation = localOperation(batch, position);
      const dotted = { operation, replica: number, sequence: batch.head.first + position };
      byKey.set(text, [...(byKey.get(text) ?? []), dotted]);
    }
  });
  return { byKey, isWhole };
}

/** False: the log has not all of them, or they are too many. */
async function eachBatch(
  { reader, other, store, timers, signal }: Difference,
  visit: (batch: Batch, replica: Replica) => void,
): Promise<boolean> {
  let operations = 0;
  for (const { name, sequence } of clockOf(reader)) {
    const ridText = byteString(name.rid);
    const replica = store.replicas.taken(ridText);
    let taken = other.get(ridText) ?? 0;
    if (taken >= sequence) continue;
    if (replica === undefined || taken < replica.floor) return false;
    operations += sequence - taken;
    if (operations > LEFT_OUT_OPERATIONS_MAX) return false;
    while (taken < sequence) {
      const batch = unlessLogDamaged(() => store.logged(replica, taken + 1, reader));
      if (batch === undefined) return false;
      visit(batch, replica);
      taken = batch.head.last;
      await sleep(timers, 0, signal); // Others get their turn.
    }
  }
  return true;
}

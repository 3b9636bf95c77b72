import type { PinsetSnapshot } from '../../../pinset/pinset.ts';
import type { BucketRepair } from '../core/repair.ts';
import type { CrdtStore } from '../state/store.ts';
import type { TouchWatch } from '../state/touched-buckets.ts';

export interface MendingNeeds {
  store: CrdtStore;
  /** B6: no log would tell a shadow of what is put right here. */
  discardShadow(): void;
}

export interface MendedBucket {
  readonly bucket: number;
  /** Undefined: nothing is to be done. */
  readonly repair: Pick<BucketRepair, 'changes' | 'unreadable' | 'correction'> | undefined;
  /** Rows written here; undefined: not wanted, or the bucket changed meanwhile. */
  written: number | undefined;
}

/**
 * Puts rows and digests of buckets right, in one transaction. A bucket is left alone when an operation has come in between what was read
 * and what is written: the clock never moves, so each row must be the truth at the clock that it had.
 */
export async function mendBuckets(
  { store, discardShadow }: MendingNeeds,
  buckets: readonly MendedBucket[],
  { set }: PinsetSnapshot,
  watch: TouchWatch,
): Promise<void> {
  const { storage, pinset } = store.needs;
  const written = buckets.flatMap(({ repair }) => writtenBy(repair));
  for (const { key, after } of written) if (after.length > 0) store.learnNamespace(key);
  if (written.length > 0) discardShadow();
  const commit = storage.transaction((tx) => {
    const due = buckets.filter(({ bucket, repair }) => repair !== undefined && !watch.has(bucket));
    const repairs = due.flatMap(({ bucket, repair }) => (repair === undefined ? [] : { bucket, ...repair }));
    const isNeeded = repairs.some((each) => writtenBy(each).length > 0 || each.correction !== 0n);
    if (isNeeded) {
      pinset.mend(tx, {
        set,
        changes: repairs.flatMap(({ changes }) => changes),
        unreadable: repairs.flatMap(({ unreadable }) => unreadable),
        corrections: repairs.map(({ bucket, correction }) => ({ bucket, add: correction })),
      });
    }
    for (const each of due) {
      each.written = writtenBy(each.repair).length;
      store.touched.noteBucket(each.bucket);
    }
    return isNeeded;
  });
  if (commit.value) await store.queued(commit, [], true);
}

function writtenBy(repair: MendedBucket['repair']) {
  return repair === undefined ? [] : [...repair.changes, ...repair.unreadable];
}

import type { Branch, Link } from '../core/fork-point.ts';
import type { Batch } from '../core/types.ts';
import { unlessLogDamaged } from '../log/kept-batch.ts';
import type { Replica } from '../state/replicas.ts';
import type { CrdtStore } from '../state/store.ts';

/** The branch of a replica that this store holds, as far back as its log reaches, whole. */
export function ownBranch(store: CrdtStore, replica: Replica): Branch {
  const containing = (sequence: number) => {
    // What the log has first, if it does not reach back so far.
    const kept = Math.max(sequence, replica.floor + 1);
    if (kept > replica.sequence) return undefined;
    const batch = unlessLogDamaged(() => store.loggedAsSigned(replica, kept));
    return batch === undefined ? undefined : linkIn(batch);
  };
  return {
    containing,
    endingAt(sequence) {
      const link = containing(sequence);
      return link?.last === sequence ? link : undefined;
    },
  };
}

/** What the header of a batch says of its place. */
export function linkIn({ head: { first, last, prev }, hash }: Pick<Batch, 'head' | 'hash'>): Link {
  return { first, last, prev, hash };
}

import type { Batch } from '../core/types.ts';
import type { Replica } from '../state/replicas.ts';
import type { CrdtStore } from '../state/store.ts';
import { unlessLogDamaged } from './kept-batch.ts';

/** The flushed batches of a replica, the newest first, from the one that holds `from` down to above `above`, as far as the log is whole. */
export function* batchesBack(store: CrdtStore, replica: Replica, from: number, above = 0): Generator<Batch> {
  let sequence = Math.min(from, replica.flushedSequence);
  while (sequence > Math.max(above, replica.floor)) {
    const asked = sequence;
    const batch = unlessLogDamaged(() => store.loggedAsSigned(replica, asked));
    if (batch === undefined) return;
    yield batch;
    sequence = batch.head.first - 1;
  }
}

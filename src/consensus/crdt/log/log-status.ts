import type { LogStatus } from '../../consensus.ts';
import type { CrdtStore } from '../state/store.ts';
import { logTable } from '../tables.ts';

/** The log, and how far each peer that was heard lately has acknowledged what this one has: who holds it (L1). */
export function logStatus(
  store: CrdtStore,
  oldestMs: number | undefined,
  isTrusted: (peerId: string) => boolean,
): LogStatus {
  const { entries, bytes } = store.needs.storage.tableSize(logTable);
  const taken = store.replicas.sorted().filter(({ flushedSequence }) => flushedSequence > 0);
  const holders = store.acks.holders().filter(({ peerId }) => peerId !== store.needs.peerId && isTrusted(peerId));
  return {
    batches: entries,
    bytes,
    oldestMs,
    holders: holders.map(({ peerId, heardMs }) => ({
      peerId,
      heardMs,
      lacking: taken.reduce((sum, replica) => {
        const acknowledged = store.acks.acknowledged(peerId, replica.ridText);
        return sum + Math.max(0, replica.flushedSequence - acknowledged);
      }, 0),
    })),
  };
}

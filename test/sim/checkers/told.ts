import { content } from '../world/contents.ts';
import type { SimProcess } from '../world/sim-process.ts';
import { Violation } from '../world/violation.ts';
import type { DamagedStore } from './damages.ts';

const contentsMax = 40;

/** What a peer says of its node is true: `pinned` only what the node remembers to hold. */
export function checkTold(process: SimProcess, damaged: DamagedStore): void {
  // Whose rows cannot be read answers nothing for all.
  if (!process.isRunning || damaged.keys.size > 0) return;
  const cids = Array.from({ length: contentsMax }, (_, i) => content(i).cid);
  const told = process.core.tracker.statuses(cids);
  told.forEach(({ status, cid }, i) => {
    const { lost, ipfsDisk, isRestored } = process.machine;
    const record = ipfsDisk.records.get(cid);
    if (record !== undefined) lost.delete(i);
    // Until the audit comes to it, the peer cannot know; nor what its node was told to let go after the store was copied that was put back.
    if (status !== 'pinned' || lost.has(i) || isRestored) return;
    if (record === undefined) {
      throw new Violation(
        'PINNED',
        `${process.name} says that content ${i} is pinned, and its node holds no record of it`,
      );
    }
  });
}

import { toV1 } from '../../../src/model/cid.ts';
import { content } from '../world/contents.ts';
import type { SimProcess } from '../world/sim-process.ts';
import { Violation } from '../world/violation.ts';

const contentsMax = 40;

/** What a peer says of its node is true: `pinned` only what the node remembers to hold. */
export function checkTold(process: SimProcess): void {
  if (!process.isRunning) return;
  const cids = Array.from({ length: contentsMax }, (_, i) => toV1(content(i).cid));
  const told = process.core.tracker.statuses(cids);
  told.forEach(({ status, cid }, i) => {
    if (status !== 'pinned' || process.machine.lost.has(i)) return;
    const record = process.machine.ipfsDisk.records.get(cid);
    if (record === undefined) {
      throw new Violation(
        'PINNED',
        `${process.name} says that content ${i} is pinned, and its node holds no record of it`,
      );
    }
  });
}

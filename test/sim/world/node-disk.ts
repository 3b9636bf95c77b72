import { MemoryDisk } from '../../../src/ipfs/memory/memory-disk.ts';
import { hexOf } from '../checkers/hex.ts';

/** The disk of a machine's IPFS node, which notes of what there has ever been a record. */
export class NodeDisk extends MemoryDisk {
  /** `held`: hex of the CIDs, version 1; of all disks that the node ever had. */
  constructor(held: Set<string>) {
    super();
    const put = this.records.put.bind(this.records);
    this.records.put = (cid, mode) => {
      held.add(hexOf(cid));
      return put(cid, mode);
    };
  }
}

import type { MemoryDisk } from '../../../src/ipfs/memory/memory-disk.ts';
import { leaf, pbNode, type TestBlock } from '../../suites/dags.ts';

/** What pins are of: single blocks and small DAGs, the same in every world. */
export interface Content {
  /** Of version 1, as is what the tracker speaks of. */
  readonly cid: Uint8Array;
  readonly blocks: readonly TestBlock[];
}

const made: Content[] = [];

export function content(number: number): Content {
  const known = made[number];
  if (known !== undefined) return known;
  const leaves = Array.from({ length: number % 3 === 2 ? 3 : 0 }, (_, i) => leaf(`leaf ${i} of ${number}`));
  const root = leaves.length > 0 ? pbNode(leaves) : leaf(`content ${number}`);
  const fresh = { cid: root.cid, blocks: [...leaves, root] };
  made[number] = fresh;
  return fresh;
}

/** Contents of which nobody has a single block: their pins never succeed. */
export function isNowhere(number: number): boolean {
  return number % 11 === 7;
}

export async function fill(disk: MemoryDisk, contents: number): Promise<void> {
  for (let i = 0; i < contents; i++) {
    if (isNowhere(i)) continue;
    for (const { link, bytes } of content(i).blocks) await disk.blocks.put(link.multihash.bytes, bytes);
  }
}

export async function holds(disk: MemoryDisk, number: number): Promise<boolean> {
  for (const { link } of content(number).blocks) if (!(await disk.blocks.has(link.multihash.bytes))) return false;
  return true;
}

import { CarReader } from '@ipld/car';
import { CID } from 'multiformats/cid';
import { checkBlock, IDENTITY_CODE } from '../../../src/ipfs/dag/hashers.ts';
import { formatCid } from '../../../src/model/cid.ts';
import { type Imported, imported, inPieces, problemOf } from '../../support/cars.ts';
import { randomCar, randomSizes } from '../random-car.ts';
import type { Target } from '../target.ts';

export const carTarget: Target = {
  says: 'CARs: what is no good is refused as such, what is taken @ipld/car reads alike',
  async run(random) {
    const bytes = randomCar(random);
    const problem = (await problemOf(inPieces(bytes, randomSizes(random))))?.message;
    const again = (await problemOf(inPieces(bytes, randomSizes(random))))?.message;
    if (problem !== again) throw new Error(`in other pieces something else: ${problem}; ${again}`);
    if (problem !== undefined) return 'refused';
    const taken = await imported(inPieces(bytes, randomSizes(random)));
    for (const block of taken.blocks) checkBlock(CID.decode(block.cid), block.bytes);
    isSame(taken, await readByOthers(bytes));
    return 'taken';
  },
};

async function readByOthers(bytes: Uint8Array): Promise<Imported> {
  const reader = await CarReader.fromBytes(bytes);
  const roots = (await reader.getRoots()).map(({ bytes }) => formatCid(bytes));
  const blocks: Imported['blocks'] = [];
  for await (const { cid, bytes } of reader.blocks())
    if (cid.multihash.code !== IDENTITY_CODE) blocks.push({ cid: cid.bytes, bytes });
  return { roots: [...new Set(roots)], blocks };
}

function isSame(one: Imported, other: Imported): void {
  const text = ({ roots, blocks }: Imported) =>
    JSON.stringify([roots, blocks.map(({ cid, bytes }) => [formatCid(cid), Buffer.from(bytes).toString('base64')])]);
  if (text(one) !== text(other))
    throw new Error(`@ipld/car reads something else: ${other.roots}, ${other.blocks.length} blocks`);
}

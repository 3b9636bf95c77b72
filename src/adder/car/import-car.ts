import { ConnectorError } from '../../ipfs/connector.ts';
import { checkBlock } from '../../ipfs/dag/hashers.ts';
import { formatCid } from '../../model/cid.ts';
import { invalidField } from '../../model/errors.ts';
import type { Added } from '../adder.ts';
import { badCar } from './bad-car.ts';
import { type CarBlock, readCar } from './car-reader.ts';
import { Completeness } from './completeness.ts';

/** See `Adder.importCar`. `put` resolves when there is room for more. */
export async function* importCar(
  content: AsyncIterable<Uint8Array>,
  put: (block: { cid: Uint8Array; bytes: Uint8Array }) => Promise<void>,
): AsyncGenerator<Added, void, undefined> {
  const { roots, blocks } = await readCar(content);
  if (roots.length === 0) throw invalidField('data', 'the CAR names no roots, so there is nothing to pin');
  const completeness = new Completeness(roots);
  let number = 0;
  for await (const block of blocks()) {
    number++;
    check(block, number, () => {
      checkBlock(block.cid, block.bytes);
      completeness.came(block.cid, block.bytes);
    });
    await put({ cid: block.cid.bytes, bytes: block.bytes });
  }
  completeness.check();
  for (const root of roots) yield { path: '', cid: root.bytes, dagBytes: 0, isRoot: true };
}

function check({ cid, offset }: CarBlock, number: number, work: () => void): void {
  try {
    work();
  } catch (cause) {
    if (!(cause instanceof ConnectorError) && !(cause instanceof RangeError)) throw cause;
    throw badCar(offset, `block ${number}, ${formatCid(cid.bytes)}: ${cause.message}`);
  }
}

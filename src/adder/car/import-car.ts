import type { CID } from 'multiformats/cid';
import { ConnectorError } from '../../ipfs/connector.ts';
import { checkBlock, IDENTITY_CODE } from '../../ipfs/dag/hashers.ts';
import { formatCid } from '../../model/cid.ts';
import { invalidField } from '../../model/errors.ts';
import type { Added } from '../adder.ts';
import { badCar } from './bad-car.ts';
import { readCar } from './car-reader.ts';
import { Completeness } from './completeness.ts';

type Put = (block: { cid: Uint8Array; bytes: Uint8Array }) => Promise<void>;

/** See `Adder.importCar`. `put` resolves when there is room for more. The content is told when nobody reads on. */
export async function* importCar(content: AsyncIterable<Uint8Array>, put: Put): AsyncGenerator<Added, void, undefined> {
  const source = content[Symbol.asyncIterator]();
  try {
    for (const root of await takeAll({ [Symbol.asyncIterator]: () => source }, put)) {
      yield { path: '', cid: root.bytes, dagBytes: 0, isRoot: true };
    }
  } finally {
    await source.return?.();
  }
}

/** The roots, when everything below them came. */
async function takeAll(content: AsyncIterable<Uint8Array>, put: Put): Promise<CID[]> {
  const { roots, blocks } = await readCar(content);
  if (roots.length === 0) throw invalidField('data', 'the CAR names no roots, so there is nothing to pin');
  const completeness = checked(0, 'its roots', () => new Completeness(roots));
  let number = 0;
  for await (const { cid, bytes, offset } of blocks()) {
    number++;
    checked(offset, `block ${number}, ${formatCid(cid.bytes)}`, () => {
      checkBlock(cid, bytes);
      completeness.came(cid, bytes);
    });
    // An identity is its content.
    if (cid.multihash.code !== IDENTITY_CODE) await put({ cid: cid.bytes, bytes });
  }
  completeness.check();
  return roots;
}

function checked<T>(offset: number, what: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (!(cause instanceof ConnectorError) && !(cause instanceof RangeError)) throw cause;
    throw badCar(offset, `${what}: ${cause.message}`);
  }
}

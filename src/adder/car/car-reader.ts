import * as dagCbor from '@ipld/dag-cbor';
import { CID } from 'multiformats/cid';
import { CAR_HEADER_BYTES_MAX, CAR_ROOTS_MAX, CAR_SECTION_BYTES_MAX } from '../constants.ts';
import { badCar } from './bad-car.ts';
import { ByteReader } from './byte-reader.ts';

export interface CarBlock {
  cid: CID;
  bytes: Uint8Array;
  /** Where its section begins. */
  offset: number;
}

export interface Car {
  /** Each once, in their order. */
  roots: CID[];
  /** Not checked against their CIDs. To be read to its end: what is wrong there is told there. */
  blocks(): AsyncGenerator<CarBlock, void, undefined>;
}

const V2_HEADER_BYTES = 40;

/**
 * Reads a CAR of version 1 or 2 (https://ipld.io/specs/transport/car/) from pieces of any size, in the memory of one block. The index of version 2
 * is passed over. Throws INVALID_ARGUMENT with the place of what is wrong; lengths over the limits before anything of that length is kept.
 */
export async function readCar(content: AsyncIterable<Uint8Array>): Promise<Car> {
  const reader = new ByteReader(content);
  const first = await header(reader);
  if (first.version === 1) return { roots: first.roots, blocks: () => blocksOf(reader, undefined) };
  const { offset, bytes } = await placeOfData(reader);
  await reader.skip(offset - reader.offset, 'what is before the data');
  const inner = await header(reader);
  if (inner.version !== 1) throw badCar(offset, 'version 2 inside version 2');
  return { roots: inner.roots, blocks: () => blocksOf(reader, offset + bytes) };
}

async function header(reader: ByteReader): Promise<{ version: 1 | 2; roots: CID[] }> {
  const at = reader.offset;
  const length = await reader.varint(CAR_HEADER_BYTES_MAX, 'the header');
  const bytes = await reader.bytes(length, 'the header');
  let decoded: unknown;
  try {
    decoded = dagCbor.decode(bytes);
  } catch (cause) {
    throw badCar(at, `the header cannot be decoded (${(cause as Error).message})`);
  }
  const { version, roots } = (decoded ?? {}) as { version?: unknown; roots?: unknown };
  if (version === 2) return { version, roots: [] };
  if (version !== 1) throw badCar(at, 'the header does not say version 1 or 2');
  if (!Array.isArray(roots)) throw badCar(at, 'the header has no list of roots');
  if (roots.length > CAR_ROOTS_MAX) throw badCar(at, `${roots.length} roots; at most ${CAR_ROOTS_MAX}`);
  const byText = new Map<string, CID>();
  for (const root of roots) {
    const cid = CID.asCID(root);
    if (cid === null) throw badCar(at, 'a root is not a CID');
    byText.set(cid.toString(), cid);
  }
  return { version, roots: [...byText.values()] };
}

/** The header of version 2: 16 bytes of characteristics, then the places of the data and of the index. */
async function placeOfData(reader: ByteReader): Promise<{ offset: number; bytes: number }> {
  const at = reader.offset;
  const fixed = Buffer.from(await reader.bytes(V2_HEADER_BYTES, 'the header of version 2'));
  const [offset, bytes] = [Number(fixed.readBigUInt64LE(16)), Number(fixed.readBigUInt64LE(24))];
  if (offset < reader.offset) throw badCar(at, `the data are said to begin at byte ${offset}, inside the header`);
  if (!Number.isSafeInteger(offset + bytes)) throw badCar(at, 'the data are said to end beyond all limits');
  return { offset, bytes };
}

async function* blocksOf(reader: ByteReader, end: number | undefined): AsyncGenerator<CarBlock, void, undefined> {
  const isOver = async () => (end === undefined ? await reader.isAtEnd() : reader.offset >= end);
  for (let number = 1; !(await isOver()); number++) {
    const { offset } = reader;
    const what = `block ${number}`;
    const length = await reader.varint(CAR_SECTION_BYTES_MAX, what);
    if (length === 0) throw badCar(offset, `${what} has no bytes, not even a CID`);
    if (end !== undefined && reader.offset + length > end)
      throw badCar(offset, `${what} goes beyond the end of the data`);
    const section = await reader.bytes(length, what);
    let cid: CID;
    let bytes: Uint8Array;
    try {
      [cid, bytes] = CID.decodeFirst(section);
    } catch (cause) {
      throw badCar(offset, `${what} does not begin with a CID (${(cause as Error).message})`);
    }
    yield { cid, bytes, offset };
  }
  await reader.drain();
}

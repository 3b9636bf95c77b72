import * as dagCbor from '@ipld/dag-cbor';
import { CID } from 'multiformats/cid';
import { CID_BYTES_MAX } from '../../ipfs/constants.ts';
import { byteString } from '../../model/bytes.ts';
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
const CHARACTERISTICS_BYTES = 16;

/**
 * Reads a CAR of version 1 or 2 (https://ipld.io/specs/transport/car/) from pieces of any size, in the memory of one block. The index of version 2
 * is passed over; that it is there at all is looked at. Throws INVALID_ARGUMENT with the place of what is wrong; lengths over the limits before anything of that length is kept.
 */
export async function readCar(content: AsyncIterable<Uint8Array>): Promise<Car> {
  const reader = new ByteReader(content);
  const first = await header(reader);
  if (first.version === 1) return { roots: first.roots, blocks: () => blocksOf(reader, undefined) };
  const places = await placesIn(reader);
  const { dataOffset, dataEnd } = places;
  await reader.skip(dataOffset - reader.offset, 'what is before the data');
  const inner = await header(reader, dataEnd);
  if (inner.version !== 1) throw badCar(dataOffset, 'version 2 inside version 2');
  return { roots: inner.roots, blocks: () => blocksOf(reader, places) };
}

async function header(reader: ByteReader, end = Infinity): Promise<{ version: 1 | 2; roots: CID[] }> {
  const at = reader.offset;
  const length = await reader.varint(CAR_HEADER_BYTES_MAX, 'the header');
  if (reader.offset + length > end) throw badCar(at, 'the header goes beyond the end of the data');
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
    // Not `asCID`: that takes maps of a certain form for CIDs.
    if (!(root instanceof CID)) throw badCar(at, 'a root is not a CID');
    if (root.byteLength > CID_BYTES_MAX) throw badCar(at, longCid('a root', root));
    byText.set(byteString(root.bytes), root);
  }
  return { version, roots: [...byText.values()] };
}

/** Bytes from the beginning of the CAR. */
interface Places {
  dataOffset: number;
  dataEnd: number;
  /** 0: there is none. */
  indexOffset: number;
}

/** The header of version 2: 16 bytes of characteristics, then the places of the data and of the index. */
async function placesIn(reader: ByteReader): Promise<Places> {
  const at = reader.offset;
  const fixed = Buffer.from(await reader.bytes(V2_HEADER_BYTES, 'the header of version 2'));
  const place = (index: number) => Number(fixed.readBigUInt64LE(CHARACTERISTICS_BYTES + 8 * index));
  const [dataOffset, dataBytes, indexOffset] = [place(0), place(1), place(2)];
  const dataEnd = dataOffset + dataBytes;
  if (dataOffset < reader.offset)
    throw badCar(at, `the data are said to begin at byte ${dataOffset}, inside the header`);
  if (!Number.isSafeInteger(dataEnd)) throw badCar(at, 'the data are said to end beyond all limits');
  // What a writer leaves behind that did not come to the end.
  if (dataBytes === 0) throw badCar(at, 'the data are said to have no bytes');
  if (indexOffset > 0 && indexOffset < dataEnd) {
    throw badCar(at, `the index is said to begin at byte ${indexOffset}, before the end of the data`);
  }
  return { dataOffset, dataEnd, indexOffset };
}

async function* blocksOf(reader: ByteReader, places: Places | undefined): AsyncGenerator<CarBlock, void, undefined> {
  const end = places?.dataEnd ?? Infinity;
  const isOver = async () => (places === undefined ? await reader.isAtEnd() : reader.offset >= end);
  for (let number = 1; !(await isOver()); number++) {
    const { offset } = reader;
    const what = `block ${number}`;
    const length = await reader.varint(CAR_SECTION_BYTES_MAX, what);
    if (length === 0) throw badCar(offset, `${what} has no bytes, not even a CID`);
    if (reader.offset + length > end) throw badCar(offset, `${what} goes beyond the end of the data`);
    yield { ...inSection(await reader.bytes(length, what), offset, what), offset };
  }
  await reader.drain();
  if (places !== undefined && places.indexOffset >= reader.offset) throw badCar(reader.offset, 'ends before its index');
}

function inSection(section: Uint8Array, offset: number, what: string): { cid: CID; bytes: Uint8Array } {
  let cid: CID;
  let bytes: Uint8Array;
  try {
    [cid, bytes] = CID.decodeFirst(section);
  } catch (cause) {
    throw badCar(offset, `${what} does not begin with a CID (${(cause as Error).message})`);
  }
  if (cid.byteLength > CID_BYTES_MAX) throw badCar(offset, longCid(what, cid));
  return { cid, bytes };
}

function longCid(what: string, { byteLength }: CID): string {
  return `${what} has a CID of ${byteLength} bytes; at most ${CID_BYTES_MAX} are taken`;
}

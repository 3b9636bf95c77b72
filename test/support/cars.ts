import * as dagCbor from '@ipld/dag-cbor';
import type { CID } from 'multiformats/cid';
import { importCar } from '../../src/adder/car/import-car.ts';
import type { Block } from '../../src/ipfs/connector.ts';
import { varint } from '../../src/model/bytes.ts';
import { formatCid } from '../../src/model/cid.ts';
import { isPinfoldError, type PinfoldError } from '../../src/model/errors.ts';

/** Written by hand, so that it can be written wrong. */
export function carBytes(roots: readonly CID[], blocks: readonly Block[]): Uint8Array {
  return Buffer.concat([headerBytes({ version: 1, roots }), ...blocks.map(sectionBytes)]);
}

export function headerBytes(header: unknown): Uint8Array {
  return withLength(dagCbor.encode(header));
}

export function sectionBytes({ cid, bytes }: Block): Uint8Array {
  return withLength(Buffer.concat([cid, bytes]));
}

export function withLength(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([varint(bytes.length), bytes]);
}

export interface Version2 {
  paddingBytes?: number;
  index?: Uint8Array;
  /** What is said in the header, where it is not so. */
  dataOffset?: bigint;
  dataBytes?: bigint;
  indexOffset?: bigint;
}

export function carV2Bytes(v1: Uint8Array, init: Version2 = {}): Uint8Array {
  const { paddingBytes = 0, index } = init;
  const pragma = headerBytes({ version: 2 });
  const dataOffset = init.dataOffset ?? BigInt(pragma.length + 40 + paddingBytes);
  const dataBytes = init.dataBytes ?? BigInt(v1.length);
  const fixed = Buffer.alloc(40);
  fixed.writeBigUInt64LE(dataOffset, 16);
  fixed.writeBigUInt64LE(dataBytes, 24);
  fixed.writeBigUInt64LE(
    init.indexOffset ?? (index === undefined ? 0n : BigInt.asUintN(64, dataOffset + dataBytes)),
    32,
  );
  return Buffer.concat([pragma, fixed, Buffer.alloc(paddingBytes), v1, index ?? Buffer.alloc(0)]);
}

/** In pieces of these sizes, over and over; 0 is an empty piece. */
export async function* inPieces(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] as number;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

export interface Imported {
  roots: string[];
  blocks: Block[];
}

export async function imported(content: AsyncIterable<Uint8Array>): Promise<Imported> {
  const blocks: Block[] = [];
  const roots: string[] = [];
  const put = async (block: Block) => {
    blocks.push({ cid: new Uint8Array(block.cid), bytes: new Uint8Array(block.bytes) });
  };
  for await (const { cid } of importCar(content, put)) roots.push(formatCid(cid));
  return { roots, blocks };
}

/** What is wrong with that CAR. What is no PinfoldError INVALID_ARGUMENT is thrown on. */
export async function problemOf(content: AsyncIterable<Uint8Array>): Promise<PinfoldError | undefined> {
  try {
    await imported(content);
    return undefined;
  } catch (cause) {
    if (isPinfoldError(cause, 'INVALID_ARGUMENT')) return cause;
    throw cause;
  }
}

import * as dagCbor from '@ipld/dag-cbor';
import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';
import { varint } from '../../src/model/bytes.ts';
import { shuffled } from '../../src/runtime/random.ts';
import type { SimRandom } from '../sim/world/sim-random.ts';
import { block, cborNode, DAG_CBOR, dag, jsonNode, leaf, pbNode, RAW, type TestBlock } from '../suites/dags.ts';
import { carV2Bytes, headerBytes, sectionBytes } from '../support/cars.ts';

/** A CAR of version 1 or 2: as it should be one time in four, otherwise with something done to it, or several things. */
export function randomCar(random: SimRandom): Uint8Array {
  const made = randomBlocks(random);
  const roots = Array.from({ length: random.int(1, 3) }, () => random.pick(made).link);
  let parts: Uint8Array[] = [headerBytes({ version: 1, roots }), ...shuffled(random, made).map(sectionBytes)];
  const isSpoilt = random.chance(0.75);
  if (isSpoilt && random.chance(0.6)) parts = repeatedly(random, parts, spoilParts);
  let bytes: Uint8Array = Buffer.concat(parts);
  if (isSpoilt && random.chance(0.4)) bytes = repeatedly(random, bytes, spoilBytes);
  if (random.chance(0.4)) bytes = asVersion2(random, bytes, isSpoilt && random.chance(0.5));
  if (isSpoilt && random.chance(0.2)) bytes = repeatedly(random, bytes, spoilBytes);
  return bytes;
}

function repeatedly<T>(random: SimRandom, value: T, spoil: (random: SimRandom, value: T) => T): T {
  let spoilt = value;
  for (let times = random.int(1, 3); times > 0; times--) spoilt = spoil(random, spoilt);
  return spoilt;
}

function randomBlocks(random: SimRandom): TestBlock[] {
  const made: TestBlock[] = [leaf(`${random.int(0, 9)}`)];
  for (let left = random.logarithmic(1, 60); left > 1; left--) {
    const children = Array.from({ length: random.int(0, 4) }, () => random.pick(made));
    made.push(randomBlock(random, children));
  }
  return made;
}

function randomBlock(random: SimRandom, children: TestBlock[]): TestBlock {
  switch (random.weighted({ raw: 3, pb: 3, cbor: 3, json: 1, identity: 2, strange: 0.3, odd: 1 })) {
    case 'raw':
      return block(RAW, random.bytes(Math.floor(random.logarithmic(1, 3000))));
    case 'pb':
      return pbNode(children);
    case 'cbor':
      return cborNode(children);
    case 'json':
      return jsonNode(children);
    case 'identity':
      return identity(random.pick([RAW, DAG_CBOR, DAG_CBOR]), dagCbor.encode(children.map(({ link }) => link)));
    case 'strange':
      return block(random.pick([0x90, 0x78, 0x51, 0x0200]), random.bytes(8));
    case 'odd':
      return block(DAG_CBOR, oddCbor(random, children));
  }
}

function identity(code: number, bytes: Uint8Array): TestBlock {
  const link = CID.createV1(code, createDigest(0, bytes));
  return { cid: link.bytes, bytes, link };
}

/** What decoders trip over. */
function oddCbor(random: SimRandom, children: readonly TestBlock[]): Uint8Array {
  const text = (value: string) => [0x60 + value.length, ...Buffer.from(value)];
  const links = dagCbor.encode(children.map(({ link }) => link));
  return Uint8Array.from(
    random.pick([
      [0xa1, ...text('__proto__'), ...links],
      [0xa2, ...text('/'), ...text('x'), ...text('bytes'), ...text('x')],
      [0xa2, ...text('/'), 1, ...text('bytes'), 1],
      [...Array(random.int(1, 2000)).fill(0x81), ...links],
      [0xd8, 0x2a, 0x41, 0x00],
      [0x9b, 0, 0, 0, 1, 0, 0, 0, 0],
      [],
    ]),
  );
}

/** The first is the header. */
function spoilParts(random: SimRandom, parts: Uint8Array[]): Uint8Array[] {
  const at = random.int(0, parts.length - 1);
  const part = parts[at] as Uint8Array;
  const { root, blocks } = dag(`other ${random.int(0, 3)}`);
  switch (random.weighted({ drop: 4, double: 3, swap: 2, other: 2, length: 4, header: 1, cid: 2 })) {
    case 'drop':
      return parts.length === 1 ? parts : parts.toSpliced(at, 1);
    case 'double':
      return parts.toSpliced(random.int(0, parts.length), 0, part);
    case 'swap':
      return parts.with(at, random.pick(parts));
    case 'other':
      return parts.toSpliced(at + 1, 0, ...blocks.slice(random.int(0, 3)).map(sectionBytes));
    case 'length':
      return parts.with(at, withAnotherLength(random, part));
    case 'header':
      return parts.with(0, headerBytes(oddHeader(random, root.link)));
    case 'cid':
      return parts.toSpliced(at + 1, 0, sectionBytes({ cid: oddCid(random), bytes: random.bytes(random.int(0, 40)) }));
  }
}

function withAnotherLength(random: SimRandom, part: Uint8Array): Uint8Array {
  const end = part.findIndex((byte) => byte < 0x80) + 1;
  const rest = part.subarray(end);
  const length = random.pick<Uint8Array>([
    varint(Math.max(0, rest.length + random.int(-3, 3))),
    varint(0),
    varint(2 ** random.int(7, 52)),
    varint(2n ** 63n),
    Buffer.alloc(random.int(1, 12), 0x80),
    Uint8Array.of((rest.length & 0x7f) | 0x80, (rest.length >> 7) | 0x80, 0),
  ]);
  return Buffer.concat([length, rest]);
}

function oddHeader(random: SimRandom, cid: CID): unknown {
  return random.pick<unknown>([
    { version: 1, roots: [] },
    { version: 2 },
    { version: 2, roots: [cid] },
    { version: 3, roots: [cid] },
    { version: 1n, roots: [cid] },
    { version: 1, roots: [cid, cid] },
    { version: 1, roots: cid },
    { version: 1, roots: [[cid]] },
    { version: 1, roots: Array(2_000).fill(cid) },
    { version: 1, roots: [cid], more: 1 },
    [cid],
    cid,
    null,
  ]);
}

function oddCid(random: SimRandom): Uint8Array {
  return Buffer.concat([
    ...random.pick([[varint(1), varint(random.pick([0x55, 0x70, 0x71, 0x1_0000_0000]))], [], [varint(2)]]),
    varint(random.pick([0, 0x12, 0x13, 0x22, 0xb220])),
    varint(random.pick([0, 1, 20, 32, 64, 300, 2 ** 40])),
    random.bytes(random.int(0, 40)),
  ]);
}

export function spoilBytes(random: SimRandom, bytes: Uint8Array): Uint8Array {
  const at = random.int(0, bytes.length);
  const to = Math.min(bytes.length, at + Math.floor(random.logarithmic(1, 200)));
  switch (random.weighted({ flip: 4, cut: 2, without: 2, twice: 2, insert: 2 })) {
    case 'flip': {
      const flipped = Buffer.from(bytes);
      if (at < bytes.length) flipped[at] = (flipped[at] as number) ^ (1 << random.int(0, 7));
      return flipped;
    }
    case 'cut':
      return bytes.subarray(0, at);
    case 'without':
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)]);
    case 'twice':
      return Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)]);
    case 'insert':
      return Buffer.concat([bytes.subarray(0, at), random.bytes(random.int(1, 20)), bytes.subarray(at)]);
  }
}

function asVersion2(random: SimRandom, v1: Uint8Array, isOdd: boolean): Uint8Array {
  const near = (value: number) => BigInt(Math.max(0, value + random.int(-5, 5)));
  const some = (value: number) => random.pick([near(value), 0n, 2n ** 62n, 2n ** 64n - 1n, near(value * 2)]);
  return carV2Bytes(v1, {
    paddingBytes: random.chance(0.5) ? random.int(1, 200) : 0,
    ...(random.chance(0.5) ? { index: random.bytes(random.int(1, 100)) } : {}),
    ...(isOdd && random.chance(0.4) ? { dataOffset: some(51) } : {}),
    ...(isOdd && random.chance(0.4) ? { dataBytes: some(v1.length) } : {}),
    ...(isOdd && random.chance(0.4) ? { indexOffset: some(51 + v1.length) } : {}),
  });
}

/** Sizes of pieces, for `inPieces`; the last one is not empty. */
export function randomSizes(random: SimRandom): number[] {
  const max = random.pick([1, 10, 1_000, 1_000_000]);
  return [...Array.from({ length: random.int(0, 5) }, () => random.int(0, max)), random.int(1, max)];
}

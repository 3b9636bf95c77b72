import { CarReader, CarWriter } from '@ipld/car';
import * as dagCbor from '@ipld/dag-cbor';
import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';
import t from 'tap';
import { type CarBlock, readCar } from '../../../../src/adder/car/car-reader.ts';
import { CAR_HEADER_BYTES_MAX, CAR_ROOTS_MAX } from '../../../../src/adder/constants.ts';
import { carHeader, carSection } from '../../../../src/ipfs/dag/car-writer.ts';
import { varint } from '../../../../src/model/bytes.ts';
import { isPinfoldError } from '../../../../src/model/errors.ts';
import { block, cborNode, dag, leaf, RAW } from '../../../suites/dags.ts';
import { carBytes, carV2Bytes, headerBytes, inPieces, sectionBytes, withLength } from '../../../support/cars.ts';
import { fc } from '../../../support/fast-check.ts';

const one = dag('one');
const v1 = carBytes([one.root.link], one.blocks);
const indexed = carV2Bytes(v1, { paddingBytes: 13, index: new Uint8Array(100).fill(7) });

async function read(content: AsyncIterable<Uint8Array>) {
  const { roots, blocks } = await readCar(content);
  const seen: CarBlock[] = [];
  for await (const each of blocks()) seen.push(each);
  return { roots: roots.map(String), blocks: seen.map(({ cid, bytes }) => [String(cid), Buffer.from(bytes)]) };
}

const whole = (bytes: Uint8Array) => inPieces(bytes, [bytes.length || 1]);
const expected = {
  roots: [String(one.root.link)],
  blocks: one.blocks.map(({ link, bytes }) => [String(link), Buffer.from(bytes)]),
};

t.test('what @ipld/car writes is read, and what is written here it reads', async (t) => {
  const { writer, out } = CarWriter.create([one.root.link]);
  const written = (async () => {
    for (const { link, bytes } of one.blocks) await writer.put({ cid: link, bytes });
    await writer.close();
  })();
  t.same(await read(out), expected);
  await written;

  const own = [carHeader([one.root.link])];
  for (const { link, bytes } of one.blocks) own.push(...carSection(link, bytes));
  const reader = await CarReader.fromBytes(Buffer.concat(own));
  t.same((await reader.getRoots()).map(String), expected.roots);
  const seen: unknown[] = [];
  for await (const { cid, bytes } of reader.blocks()) seen.push([String(cid), Buffer.from(bytes)]);
  t.same(seen, expected.blocks);
});

t.test('pieces of any size are the same', async (t) => {
  for (const bytes of [v1, indexed]) {
    for (const size of [1, 2, 1024 * 1024]) t.same(await read(inPieces(bytes, [size])), expected, `${size} bytes`);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(100), { minLength: 1 }), async (sizes) => {
        t.same(await read(inPieces(bytes, [...sizes, 1])), expected);
      }),
      { numRuns: 50 },
    );
  }
});

t.test('version 2: padding and an index are passed over', async (t) => {
  t.same(await read(whole(carV2Bytes(v1))), expected, 'neither');
  t.same(await read(whole(carV2Bytes(v1, { paddingBytes: 1413 }))), expected, 'padding');
  t.same(await read(whole(carV2Bytes(v1, { index: new Uint8Array(5) }))), expected, 'an index');
  const reader = await CarReader.fromBytes(indexed);
  t.same((await reader.getRoots()).map(String), expected.roots, '@ipld/car says the same');
});

t.test('no roots, and one twice', async (t) => {
  t.same((await read(whole(carBytes([], one.blocks)))).roots, []);
  const { link } = one.root;
  const other = leaf('x').link;
  const roots = [link, other, link];
  t.same((await read(whole(carBytes(roots, [])))).roots, [link, other].map(String));
});

const problem = async (bytes: Uint8Array): Promise<string> => {
  try {
    await read(whole(bytes));
  } catch (cause) {
    if (isPinfoldError(cause, 'INVALID_ARGUMENT')) return cause.message;
    throw cause;
  }
  return 'nothing';
};

const identityCid = (length: number) => CID.createV1(RAW, createDigest(0, new Uint8Array(length)));
const text = (value: string) => [0x60 + value.length, ...Buffer.from(value)];
const header = headerBytes({ version: 1, roots: [one.root.link] });
const section = sectionBytes(leaf('x'));
const at = header.length;

const refused: Record<string, [bytes: Uint8Array, says: RegExp]> = {
  nothing: [Buffer.alloc(0), /byte 0: ends inside the header/],
  'no header': [Buffer.from([0]), /byte 0: the header cannot be decoded/],
  'a header of something': [Buffer.concat([varint(4), Buffer.from('text')]), /byte 0: the header cannot be decoded/],
  'a header that is null': [headerBytes(null), /version 1 or 2/],
  'a header that is a list': [headerBytes([1]), /version 1 or 2/],
  'version 3': [headerBytes({ version: 3, roots: [] }), /version 1 or 2/],
  'a version only in the prototype': [
    withLength(Uint8Array.of(0xa1, ...text('__proto__'), ...dagCbor.encode({ version: 1, roots: [] }))),
    /version 1 or 2/,
  ],
  'roots that are none': [headerBytes({ version: 1, roots: 'x' }), /no list of roots/],
  'no list of roots': [headerBytes({ version: 1 }), /no list of roots/],
  'a root that is a text': [headerBytes({ version: 1, roots: ['x'] }), /a root is not a CID/],
  'a root that is like a CID': [
    withLength(
      Uint8Array.of(
        ...[0xa2, ...text('roots'), 0x81, 0xa2, ...text('/'), 1, ...text('bytes'), 1],
        ...[...text('version'), 1],
      ),
    ),
    /a root is not a CID/,
  ],
  'too long a root': [headerBytes({ version: 1, roots: [identityCid(252)] }), /a CID of 257 bytes; at most 255/],
  'too many roots': [
    headerBytes({ version: 1, roots: Array.from({ length: CAR_ROOTS_MAX + 1 }, () => one.root.link) }),
    /1001 roots; at most 1000/,
  ],
  'nesting without an end': [
    withLength(new Uint8Array(CAR_HEADER_BYTES_MAX).fill(0x81)),
    /byte 0: the header cannot be decoded/,
  ],
  'too long a header': [varint(CAR_HEADER_BYTES_MAX + 1), /at most 1048576/],
  'an empty section': [Buffer.concat([header, Buffer.from([0]), section]), /block 1 has no bytes/],
  'padding with zeros': [Buffer.concat([v1, Buffer.alloc(10)]), /block 10 has no bytes/],
  'a length in two bytes too many': [
    Buffer.concat([header, Buffer.from([0x80 | section.length, 0x80, 0])]),
    /not in its shortest form/,
  ],
  'a length without an end': [Buffer.concat([header, Buffer.alloc(20, 0x80)]), /block 1: a length of too many bytes/],
  'a section that is no CID': [Buffer.concat([header, withLength(Buffer.from('hello'))]), /does not begin with a CID/],
  'a section that ends in the CID': [
    Buffer.concat([header, withLength(leaf('x').cid.subarray(0, 20))]),
    /block 1 does not begin with a CID/,
  ],
  'too long a CID': [
    Buffer.concat([header, sectionBytes({ cid: identityCid(252).bytes, bytes: new Uint8Array(252) })]),
    new RegExp(`byte ${at}: block 1 has a CID of 257 bytes`),
  ],
  'version 2 in version 2': [carV2Bytes(carV2Bytes(v1)), /version 2 inside version 2/],
  'data in the header': [carV2Bytes(v1, { dataOffset: 50n }), /begin at byte 50, inside the header/],
  'data beyond the end': [carV2Bytes(v1, { dataOffset: 2n ** 50n }), /ends inside what is before the data/],
  'data beyond all limits': [carV2Bytes(v1, { dataBytes: 2n ** 64n - 1n }), /beyond all limits/],
  'no data': [carV2Bytes(v1, { dataBytes: 0n }), /no bytes/],
  'data that end in their header': [carV2Bytes(v1, { dataBytes: 20n }), /header goes beyond the end of the data/],
  'data that end in a block': [
    carV2Bytes(v1, { dataBytes: BigInt(v1.length - 1) }),
    /block 9 goes beyond the end of the data/,
  ],
  'data that do not end': [carV2Bytes(v1, { dataBytes: BigInt(v1.length + 1) }), /ends inside block 10/],
  'an index in the data': [carV2Bytes(v1, { indexOffset: 60n }), /before the end of the data/],
  'an index that is not there': [carV2Bytes(v1, { index: new Uint8Array(0) }), /ends before its index/],
};
for (const [name, [bytes, says]] of Object.entries(refused)) {
  t.test(`refused: ${name}`, async (t) => t.match(await problem(bytes), says));
}

t.test('a CAR that is cut is refused, but between blocks', async (t) => {
  const ends = [header.length];
  for (const each of one.blocks) ends.push((ends.at(-1) as number) + sectionBytes(each).length);
  const takenAt: number[] = [];
  for (let length = 0; length <= v1.length; length++) {
    const says = await problem(v1.subarray(0, length));
    if (says === 'nothing') takenAt.push(length);
    else if (!/ends inside/.test(says)) t.fail(`${length} bytes: ${says}`);
  }
  t.same(takenAt, ends);
  // Of version 2 none, up to the first byte of the index, which nobody reads.
  for (let length = 0; length <= indexed.length - 100; length++) {
    const says = await problem(indexed.subarray(0, length));
    if (!/byte \d+: ends/.test(says)) t.fail(`version 2, ${length} bytes: ${says}`);
  }
});

t.test('lengths of 4 GiB are refused before anything of them is taken', async (t) => {
  for (const before of [Buffer.alloc(0), header]) {
    let taken = 0;
    let isTold = false;
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        yield before;
        yield varint(2 ** 32);
        for (;;) {
          taken += 1024;
          yield new Uint8Array(1024);
        }
      } finally {
        isTold = true;
      }
    }
    const source = endless();
    await t.rejects(read(source), { code: 'INVALID_ARGUMENT', message: /4294967296 bytes or more; at most/ });
    t.equal(taken, 0);
    await source.return(undefined);
    t.ok(isTold);
  }
});

t.test('a byte that is changed is told, or makes another CAR', async (t) => {
  const small = carBytes([leaf('x').link], [leaf('x'), cborNode([leaf('y')]), block(RAW, new Uint8Array(300))]);
  for (const bytes of [small, carV2Bytes(small, { index: new Uint8Array(3) })]) {
    for (let place = 0; place < bytes.length; place++) {
      for (const bit of [0x01, 0x80, 0xff]) {
        const changed = Buffer.from(bytes);
        changed[place] = (changed[place] as number) ^ bit;
        // Throws what is none of ours.
        await problem(changed);
      }
    }
  }
  t.pass();
});

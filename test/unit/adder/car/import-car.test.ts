import * as dagCbor from '@ipld/dag-cbor';
import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';
import t from 'tap';
import { adder } from '../../../../src/adder/adder.ts';
import { formatCid } from '../../../../src/model/cid.ts';
import { noMetrics } from '../../../../src/runtime/metrics.ts';
import { block, cborNode, DAG_CBOR, dag, leaf, RAW, type TestBlock, version0, wideDag } from '../../../suites/dags.ts';
import {
  carBytes,
  carV2Bytes,
  headerBytes,
  imported,
  inPieces,
  problemOf,
  sectionBytes,
} from '../../../support/cars.ts';

const whole = (bytes: Uint8Array) => inPieces(bytes, [bytes.length || 1]);
const take = (roots: readonly TestBlock[], blocks: readonly TestBlock[]) =>
  imported(whole(carBytes(rootsOf(roots), blocks)));
const problem = async (roots: readonly TestBlock[], blocks: readonly TestBlock[]) =>
  (await problemOf(whole(carBytes(rootsOf(roots), blocks))))?.message;
const rootsOf = (blocks: readonly TestBlock[]) => blocks.map(({ link }) => link);

/** A block that is its own CID. */
function identity(code: number, bytes: Uint8Array): TestBlock {
  const link = CID.createV1(code, createDigest(0, bytes));
  return { cid: link.bytes, bytes, link };
}

const identityNode = (children: readonly TestBlock[]) =>
  identity(DAG_CBOR, dagCbor.encode(children.map(({ link }) => link)));

t.test('the blocks are put as they come, and the roots yielded', async (t) => {
  const { root, blocks } = dag('one');
  const other = leaf('other');
  const all = [...blocks, other];
  const expected = {
    roots: [root, other].map(({ cid }) => formatCid(cid)),
    blocks: all.map(({ cid, bytes }) => ({ cid, bytes: new Uint8Array(bytes) })),
  };
  const v1 = carBytes(rootsOf([root, other]), all);
  t.same(await imported(whole(v1)), expected);
  t.same(await imported(inPieces(carV2Bytes(v1, { index: new Uint8Array(9) }), [1])), expected, 'version 2');
});

t.test('a root of version 0 is given as it is, and found in either version', async (t) => {
  const { root, blocks } = wideDag('v0', 3, 10);
  const v0 = { ...root, cid: version0(root), link: root.link.toV0() };
  const others = blocks.filter((each) => each !== root);
  t.same((await take([v0], [...others, root])).roots, [root.link.toV0().toString()]);
  t.same((await take([root], [v0, ...others])).roots, [root.link.toString()]);
});

t.test('no roots', async (t) => {
  t.match(await problem([], [leaf('x')]), /names no roots/);
});

t.test('what is missing is named: twenty, and how many', async (t) => {
  const { root, blocks } = wideDag('wide', 50, 20);
  const leaves = blocks.filter((each) => each !== root);
  t.match(await problem([root], leaves), `1 block below its roots is missing: ${formatCid(root.cid)}`);
  const named = leaves.slice(10, 30).map(({ cid }) => formatCid(cid));
  t.match(
    await problem([root], [root, ...leaves.slice(0, 10)]),
    `40 blocks below its roots are missing: ${named.join(', ')} and 20 more`,
  );
  t.match(await problem([root], [...leaves.slice(0, 49), root]), formatCid((leaves[49] as TestBlock).cid));
});

t.test('what is missing is named by the codec that it is linked to by', async (t) => {
  const cbor = block(0x51, Uint8Array.of(1));
  const root = cborNode([cbor]);
  t.match(await problem([root], [root]), `missing: ${formatCid(cbor.cid)}`);
});

t.test('below no root anything may be missing', async (t) => {
  const stray = cborNode([leaf('gone'), identityNode([leaf('gone, too')])]);
  for (const blocks of [
    [stray, leaf('x')],
    [leaf('x'), stray],
  ]) {
    t.equal((await take([leaf('x')], blocks)).blocks.length, 2);
  }
});

t.test('a block that does not match its CID', async (t) => {
  const good = leaf('good');
  const bad = { ...leaf('bad'), bytes: Buffer.from('worse') };
  const car = carBytes([good.link], [good, bad]);
  t.match(
    (await problemOf(whole(car)))?.message,
    `at byte ${car.length - sectionBytes(bad).length}: block 2, ${formatCid(bad.cid)}: the block ${formatCid(bad.cid)} does not match its CID`,
  );
  const short = CID.createV1(RAW, createDigest(0x12, good.link.multihash.digest.subarray(0, 20)));
  t.match(await problem([good], [{ ...good, cid: short.bytes }]), /does not match/, 'a digest that is cut');
});

t.test('a hash function that is not known', async (t) => {
  const link = CID.createV1(RAW, createDigest(0x22, new Uint8Array(4)));
  t.match(
    await problem([leaf('x')], [{ ...leaf('x'), cid: link.bytes }]),
    /hash function 0x22, which is not known here/,
  );
  const root = cborNode([{ ...leaf('x'), link }]);
  t.match(await problem([root], [root]), `missing: ${link}`, 'as a link it can never be there');
});

t.test('a codec that is not known is stored, but not below a root', async (t) => {
  const strange = block(0x90, Buffer.from('x'));
  t.equal((await take([leaf('x')], [leaf('x'), strange])).blocks.length, 2);
  const root = cborNode([cborNode([strange])]);
  const inner = cborNode([strange]);
  for (const blocks of [
    [root, inner, strange],
    [strange, inner, root],
    [inner, root, strange],
    [inner, strange, root],
  ]) {
    t.match(await problem([root], blocks), `${formatCid(strange.cid)} below a root has the codec 0x90`);
  }
  t.match(await problem([strange], [strange]), `${formatCid(strange.cid)} below a root has the codec 0x90`);
  const inside = identity(0x90, Buffer.from('x'));
  t.match(await problem([cborNode([inside])], [cborNode([inside])]), `${formatCid(inside.cid)} below a root`);
});

t.test('a block that cannot be decoded', async (t) => {
  const broken = block(DAG_CBOR, Uint8Array.of(0xff));
  t.match(await problem([leaf('x')], [leaf('x'), broken]), /block 2, .* cannot be decoded/);
});

t.test('identities lead on', async (t) => {
  const far = leaf('far');
  const between = identityNode([identityNode([far]), identity(RAW, Buffer.from('x'))]);
  const root = cborNode([between]);
  for (const blocks of [
    [root, far],
    [far, root],
    [between, root, far],
    [between, far, root],
    [root, between, far],
  ]) {
    const { roots, blocks: put } = await take([root], blocks);
    t.same(roots, [formatCid(root.cid)]);
    t.equal(put.length, 2, 'and are no blocks to be stored');
  }
  for (const blocks of [[root], [between, root], [root, between], [identityNode([far]), between, root]]) {
    t.match(await problem([root], blocks), `missing: ${formatCid(far.cid)}`, 'also when they are there as blocks');
  }
  t.same((await take([between], [far])).roots, [formatCid(between.cid)], 'a root');
  t.match(await problem([between], []), `missing: ${formatCid(far.cid)}`);
  t.match(await problem([identity(DAG_CBOR, Uint8Array.of(0xff))], []), /its roots: .* cannot be decoded/);
  const bad = cborNode([identity(DAG_CBOR, Uint8Array.of(0xff))]);
  t.match(await problem([bad], [bad]), /block 1, .* cannot be decoded/);
});

t.test('an identity longer than any CID may be is not looked into', async (t) => {
  const root = cborNode([identity(RAW, new Uint8Array(252))]);
  t.match(await problem([root], [root]), /links to a CID of 257 bytes; at most 255/);
});

t.test('many short links in one block', async (t) => {
  // More than a call takes arguments.
  const root = cborNode(Array.from({ length: 300_000 }, () => identity(RAW, new Uint8Array(0))));
  t.same((await take([root], [root])).roots, [formatCid(root.cid)]);
  const above = cborNode([root]);
  t.same((await take([above], [root, above])).roots, [formatCid(above.cid)]);
});

t.test('the same bytes as what has links and as what has none', async (t) => {
  const node = cborNode([leaf('x')]);
  const raw = block(RAW, node.bytes);
  const root = cborNode([node, raw]);
  for (const blocks of [
    [root, node, leaf('x')],
    [leaf('x'), node, root],
    [raw, node, leaf('x'), root],
  ]) {
    t.equal((await take([root], blocks)).roots.length, 1);
  }
  t.match(
    await problem([root], [root, raw, leaf('x')]),
    `missing: ${formatCid(node.cid)}`,
    'what it links to was not looked at',
  );
});

t.test('a map that is like a CID is none', async (t) => {
  const root = block(
    DAG_CBOR,
    dagCbor.encode(
      new Map([
        ['/', 'text'],
        ['bytes', 'text'],
      ]),
    ),
  );
  t.equal((await take([root], [root])).roots.length, 1);
});

t.test('a name that objects have by themselves hides nothing', async (t) => {
  const value = [0xa1, 0x69, ...Buffer.from('__proto__'), ...dagCbor.encode({ a: leaf('x').link })];
  const root = block(DAG_CBOR, Uint8Array.from(value));
  t.match(await problem([root], [root]), `missing: ${formatCid(leaf('x').cid)}`);
});

t.test('the source is told when nobody reads on', async (t) => {
  const cars: [string, Uint8Array][] = [
    ['no CAR', Buffer.from('hello, I am a text')],
    ['no roots', headerBytes({ version: 1, roots: [] })],
    ['a bad block', carBytes([leaf('x').link], [{ ...leaf('x'), bytes: Buffer.from('y') }])],
  ];
  for (const [name, bytes] of cars) {
    let isTold = false;
    async function* source() {
      try {
        yield bytes;
        for (;;) yield new Uint8Array(10);
      } finally {
        isTold = true;
      }
    }
    t.ok(await problemOf(source()), name);
    t.ok(isTold, name);
  }
});

t.test('the adder: progress, and an abort while the source hangs', async (t) => {
  const { root, blocks } = dag('one');
  const bytes = carBytes([root.link], blocks);
  const stored: string[] = [];
  const sink = {
    putBlocks: async (put: readonly { cid: Uint8Array }[]) => void stored.push(...put.map(({ cid }) => formatCid(cid))),
  };
  let sofar = { bytes: 0, blocks: 0 };
  const { importCar } = adder({ metrics: noMetrics });
  const options = { signal: new AbortController().signal, onProgress: (now: typeof sofar) => (sofar = { ...now }) };
  for await (const { cid } of importCar(inPieces(bytes, [100]), sink, options)) t.same(cid, root.cid);
  t.same(sofar, { bytes: bytes.length, blocks: blocks.length });
  t.same(
    stored,
    blocks.map(({ cid }) => formatCid(cid)),
  );

  const abort = new AbortController();
  const hangs = (async function* () {
    yield bytes.subarray(0, 100);
    setImmediate(() => abort.abort(new Error('gone')));
    await new Promise(() => {});
  })();
  await t.rejects(
    async () => {
      for await (const _ of importCar(hangs, sink, { signal: abort.signal }));
    },
    { message: 'gone' },
  );
});

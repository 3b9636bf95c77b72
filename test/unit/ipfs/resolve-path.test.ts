import * as dagCbor from '@ipld/dag-cbor';
import * as dagPb from '@ipld/dag-pb';
import { UnixFS } from 'ipfs-unixfs';
import type { CID } from 'multiformats/cid';
import t from 'tap';
import { ConnectorError } from '../../../src/ipfs/connector.ts';
import { PATH_BLOCKS_MAX, PATH_BYTES_MAX } from '../../../src/ipfs/constants.ts';
import { resolvePath } from '../../../src/ipfs/dag/resolve-path.ts';
import { failsWith } from '../../suites/connector.suite.ts';
import { block, DAG_CBOR, DAG_JSON, DAG_PB, leaf, RAW, type TestBlock } from '../../suites/dags.ts';
import { manyFiles, shardedTree, unixfsTree } from '../../suites/unixfs.ts';
import { fc } from '../../support/fast-check.ts';

/** Where it leads, and how many blocks were read on the way. */
async function follow(blocks: readonly TestBlock[], root: CID, path: readonly string[]) {
  const known = new Map(blocks.map((each) => [each.link.toString(), each.bytes]));
  let loads = 0;
  const { cid, rest } = await resolvePath(root, path, async (cid) => {
    loads++;
    const bytes = known.get(cid.toString());
    if (bytes === undefined) throw new ConnectorError('NO_PROVIDER', `${cid}`);
    return bytes;
  });
  return { cid: cid.toString(), rest, loads };
}

function directory(links: [name: string, to: TestBlock][], data?: Uint8Array): TestBlock {
  const Links = links.map(([Name, { link }]) => ({ Name, Hash: link, Tsize: 1 }));
  return block(DAG_PB, dagPb.encode({ Links, ...(data && { Data: data }) }));
}

function shard(fanout: bigint, links: [name: string, to: TestBlock][]): TestBlock {
  return directory(links, new UnixFS({ type: 'hamt-sharded-directory', fanout, hashType: 0x22n }).marshal());
}

t.test('every name of sharded directories, in shards of any width', async (t) => {
  const tree = await shardedTree();
  const wide = await unixfsTree(manyFiles(2_000), { shardSplitThresholdBytes: 1, shardFanoutBits: 4 });
  const both: [typeof tree, number, number][] = [
    [tree, 1_500, 2],
    [wide, 2_000, 4],
  ];
  for (const [{ root, blocks, at }, count, levels] of both) {
    let deepest = 0;
    for (let i = 0; i < count; i++) {
      const name = `file ${i} ü.txt`;
      const found = await follow(blocks, root.link, [name]);
      if (found.cid !== at(name).toString()) t.fail(name);
      deepest = Math.max(deepest, found.loads);
    }
    t.ok(deepest >= levels, `${deepest} shards below each other`);
    for (let i = 0; i < 300; i++) {
      const absent = follow(blocks, root.link, [`not there ${i}`]);
      await t.rejects(absent, { kind: 'NO_LINK', message: `there is no "not there ${i}" in ${root.link}` });
    }
  }
});

t.test('links of dag-pb by their names, of two the first; and a file has no names', async (t) => {
  const [a, b] = [leaf('a'), leaf('b')];
  const twice = directory([
    ['x', a],
    ['x', b],
  ]);
  t.equal((await follow([twice], twice.link, ['x'])).cid, a.link.toString());
  const plain = directory([['y', b]], new TextEncoder().encode('no UnixFS'));
  t.equal((await follow([plain], plain.link, ['y'])).cid, b.link.toString());
  const file = await unixfsTree({ 'big.bin': 'x'.repeat(1_000_000) });
  const big = file.at('big.bin');
  t.ok(file.blocks.length > 3);
  await failsWith(t, follow(file.blocks, big, ['0']), 'NO_LINK');
});

t.test('shards that are none', async (t) => {
  const [a, below] = [leaf('a'), directory([['a', leaf('a')]])];
  for (const fanout of [0n, 1n, 100n, 2_048n, 2n ** 63n]) {
    const odd = shard(fanout, [['00a', a]]);
    await failsWith(t, follow([odd], odd.link, ['a']), 'INVALID_DAG');
  }
  const names = Array.from({ length: 256 }, (_, at) => at.toString(16).toUpperCase().padStart(2, '0'));
  const toLeaf = shard(
    256n,
    names.map((name) => [name, a]),
  );
  await failsWith(t, follow([toLeaf, a], toLeaf.link, ['a']), 'NO_LINK');
  const toDirectory = shard(
    256n,
    names.map((name) => [name, below]),
  );
  await failsWith(t, follow([toDirectory, below], toDirectory.link, ['a']), 'INVALID_DAG');
  let deep = shard(
    256n,
    names.map((name) => [name, a]),
  );
  const blocks = [deep];
  for (let level = 0; level < 9; level++) {
    const [to] = blocks.slice(-1) as [TestBlock];
    deep = shard(
      256n,
      names.map((name) => [name, to]),
    );
    blocks.push(deep);
  }
  const failure = await failsWith(t, follow(blocks, deep.link, ['a']), 'INVALID_DAG');
  t.match(failure.message, /more bits than a hash has/);
});

t.test('a path over too many blocks, or too many bytes, is given up', async (t) => {
  let end = leaf('end');
  const blocks = [end];
  for (let level = 0; level <= PATH_BLOCKS_MAX; level++) {
    end = directory([['a', end]]);
    blocks.push(end);
  }
  const path = Array.from({ length: PATH_BLOCKS_MAX + 1 }, () => 'a');
  const failure = await failsWith(t, follow(blocks, end.link, path), 'FAILED');
  t.match(failure.message, `${PATH_BLOCKS_MAX + 1} blocks`);
  t.equal((await follow(blocks, end.link, path.slice(1))).loads, PATH_BLOCKS_MAX);
  const filling = 4_000_000;
  const heavy = [leaf('light')];
  const levels = Math.ceil(PATH_BYTES_MAX / filling);
  for (let level = 0; level < levels; level++) {
    heavy.push(directory([['a', heavy.at(-1) as TestBlock]], new Uint8Array(filling).fill(level)));
  }
  const { link } = heavy.at(-1) as TestBlock;
  await failsWith(t, follow(heavy, link, path.slice(0, levels)), 'FAILED');
});

t.test('whatever the blocks have in them, a path ends or is refused', async (t) => {
  const codecs = fc.constantFrom(RAW, DAG_PB, DAG_CBOR, DAG_JSON, 0x0200, 0x93);
  const anyBytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.json({ maxDepth: 4 }).map((text) => new TextEncoder().encode(text)),
    fc.json().map((text) => dagCbor.encode(JSON.parse(text))),
    fc.uint8Array({ maxLength: 40 }).map((data) => dagPb.encode({ Links: [], Data: data })),
  );
  const segment = fc.oneof(fc.constantFrom('0', '1', 'a', '__proto__', 'constructor', 'length'), fc.string());
  await fc.assert(
    fc.asyncProperty(codecs, anyBytes, fc.array(segment, { minLength: 1, maxLength: 4 }), async (code, bytes, path) => {
      const one = block(code, bytes);
      try {
        const { rest } = await follow([one], one.link, path);
        return rest.length === path.length;
      } catch (error) {
        return error instanceof ConnectorError;
      }
    }),
    { numRuns: 2_000 },
  );
  t.pass('held');
});

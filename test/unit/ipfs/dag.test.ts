import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';
import t from 'tap';
import { DigestSet } from '../../../src/ipfs/dag/digest-set.ts';
import { linksOf } from '../../../src/ipfs/dag/links.ts';
import { walkDag } from '../../../src/ipfs/dag/walk.ts';
import { block, cborNode, DAG_JSON, dag, jsonNode, leaf, pbNode, RAW, type TestBlock } from '../../suites/dags.ts';

const number = (value: number) => Uint8Array.of(value, value >> 8, value >> 16);

t.test('a digest set has what was added, and nothing else', async (t) => {
  const set = new DigestSet(100_000);
  for (let i = 0; i < 20_000; i++) if (!set.add(number(i))) t.fail(`${i} was there already`);
  for (let i = 0; i < 20_000; i++) if (set.add(number(i)) || !set.has(number(i))) t.fail(`${i} is not there`);
  for (let i = 20_000; i < 40_000; i++) if (set.has(number(i))) t.fail(`${i} is there`);
  t.equal(set.size, 20_000);
  const other = new DigestSet(100_000);
  other.add(number(70_000));
  other.add(number(1));
  set.addAll(other);
  t.equal(set.size, 20_001);
  t.ok(set.has(number(70_000)));
});

t.test('a full digest set says so, and keeps what it has', async (t) => {
  const set = new DigestSet(2);
  set.add(number(1));
  set.add(number(2));
  t.throws(() => set.add(number(3)), RangeError);
  t.notOk(set.add(number(2)));
  t.ok(set.has(number(1)));
});

t.test('links of every codec, in order', async (t) => {
  const children = [leaf('one'), leaf('two'), leaf('one')];
  const expected = children.map((child) => child.link.toString());
  for (const node of [pbNode(children), cborNode(children), jsonNode(children)]) {
    t.same(linksOf(node.link, node.bytes).map(String), expected, `codec ${node.link.code}`);
  }
  t.same(linksOf(leaf('one').link, leaf('one').bytes), []);
  for (const code of [0x51, 0x0200]) t.same(linksOf(block(code, new Uint8Array(3)).link, new Uint8Array(3)), []);
});

t.test('dag-json: only a map with the one key is a link', async (t) => {
  const text = leaf('x').link.toString();
  const of = (value: unknown) => {
    const node = block(DAG_JSON, new TextEncoder().encode(JSON.stringify(value)));
    return linksOf(node.link, node.bytes).length;
  };
  t.equal(of({ '/': text }), 1);
  t.equal(of([{ a: { '/': text } }, { '/': { bytes: 'AQ' } }, { '/': text, b: 1 }, text]), 1);
  t.throws(() => of({ '/': 'no CID' }), /cannot be decoded/);
});

t.test('nesting without end is refused, and does not break the stack', async (t) => {
  const node = block(DAG_JSON, new TextEncoder().encode('['.repeat(5_000) + ']'.repeat(5_000)));
  t.throws(() => linksOf(node.link, node.bytes), /cannot be decoded/);
});

function walk(root: CID, blocks: readonly TestBlock[], options: { concurrency?: number; signal?: AbortSignal } = {}) {
  const bytes = new Map(blocks.map((one) => [one.link.toString(), one.bytes]));
  const seen: string[] = [];
  let running = 0;
  const state = { seen, runningMax: 0, visited: new DigestSet(1_000_000) };
  const visit = async (cid: CID) => {
    state.runningMax = Math.max(state.runningMax, ++running);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
    seen.push(cid.toString());
    const found = bytes.get(cid.toString());
    if (found === undefined) throw new Error(`no ${cid}`);
    return found;
  };
  const done = walkDag(root, {
    load: visit,
    present: async (cid) => {
      await visit(cid);
    },
    concurrency: () => options.concurrency ?? 3,
    visited: state.visited,
    signal: options.signal ?? new AbortController().signal,
  });
  return { done, state, running: () => running };
}

t.test('a walk sees each block once, so many at a time', async (t) => {
  const { root, blocks } = dag('walk');
  const { done, state } = walk(root.link, blocks);
  await done;
  t.same(state.seen.toSorted(), blocks.map((one) => one.link.toString()).toSorted());
  t.equal(state.runningMax, 3);
  for (const one of blocks) t.ok(state.visited.has(one.link.multihash.bytes));
});

t.test('a block that is linked as a leaf and as a node is seen as both', async (t) => {
  const inner = pbNode([leaf('below')]);
  const asLeaf = { ...inner, link: CID.createV1(RAW, inner.link.multihash) };
  const root = pbNode([asLeaf, inner]);
  const { done, state } = walk(root.link, [root, inner, asLeaf, leaf('below')], { concurrency: 1 });
  await done;
  t.ok(state.seen.includes(leaf('below').link.toString()), 'what lies below is not missed');
});

t.test('the same DAG by CIDs of both versions is walked once', async (t) => {
  const inner = pbNode([leaf('below')]);
  const old = { ...inner, link: inner.link.toV0() };
  const root = pbNode([inner, old]);
  const { done, state } = walk(root.link, [root, inner, old, leaf('below')], { concurrency: 1 });
  await done;
  t.equal(state.seen.length, 3);
});

t.test('a walk ends with its first failure, and leaves nothing running', async (t) => {
  const { root, blocks } = dag('failure');
  const { done, running } = walk(root.link, blocks.slice(2));
  await t.rejects(done, /no baf/);
  t.equal(running(), 0);
});

t.test('a walk that is aborted ends with the reason', async (t) => {
  const { root, blocks } = dag('abort');
  const controller = new AbortController();
  const { done, running } = walk(root.link, blocks, { signal: controller.signal });
  controller.abort(new Error('enough'));
  await t.rejects(done, /enough/);
  t.equal(running(), 0);
});

t.test('identity CIDs carry their block', async (t) => {
  const cid = CID.createV1(RAW, createDigest(0, Uint8Array.of(1, 2, 3)));
  t.same(linksOf(cid, cid.multihash.digest), []);
});

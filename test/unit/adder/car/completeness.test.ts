import t from 'tap';
import { Completeness } from '../../../../src/adder/car/completeness.ts';
import { formatCid } from '../../../../src/model/cid.ts';
import { cborNode, leaf, type TestBlock } from '../../../suites/dags.ts';
import { carBytes, imported, inPieces, problemOf } from '../../../support/cars.ts';
import { randomDag } from '../../../support/dag-arbitrary.ts';
import { fc } from '../../../support/fast-check.ts';

const runs = { numRuns: process.env.TEST_LONG === undefined ? 200 : 5_000 };
const car = (roots: readonly TestBlock[], blocks: readonly TestBlock[]) =>
  inPieces(
    carBytes(
      roots.map(({ link }) => link),
      blocks,
    ),
    [4096],
  );
const namesIn = (message: string | undefined) =>
  new Set(message?.match(/\bbafy[a-z0-9]+|\bbafk[a-z0-9]+|\bba[a-z0-9]{50,}/g));

t.test('in any order all blocks are all blocks', async (t) => {
  await fc.assert(
    fc.asyncProperty(randomDag, async ({ roots, blocks }) => {
      const taken = await imported(car(roots, blocks));
      t.same(
        taken.roots,
        roots.map(({ cid }) => formatCid(cid)),
      );
    }),
    runs,
  );
});

t.test('what is left out below a root is named, and nothing else', async (t) => {
  await fc.assert(
    fc.asyncProperty(randomDag, fc.nat(), async ({ roots, blocks, reachable }, at) => {
      const left = blocks[at % Math.max(1, blocks.length)];
      if (left === undefined) return;
      const problem = await problemOf(
        car(
          roots,
          blocks.filter((each) => each !== left),
        ),
      );
      const expected = reachable.has(left) ? [formatCid(left.cid)] : [];
      const named = [...namesIn(problem?.message)];
      if (named.join() !== expected.join()) t.fail(`${problem?.message}; left out: ${expected}`);
    }),
    runs,
  );
});

/** Takes all in; how long that took, ms. */
function timeOf(roots: readonly TestBlock[], blocks: Iterable<TestBlock>): number {
  const begin = performance.now();
  const completeness = new Completeness(roots.map(({ link }) => link));
  for (const { link, bytes } of blocks) completeness.came(link, bytes);
  completeness.check();
  return performance.now() - begin;
}

t.test('wide and deep DAGs take a time that goes with their blocks, from either end', async (t) => {
  const leaves = Array.from({ length: 100_000 }, (_, at) => leaf(`${at}`));
  const wide = cborNode(leaves);
  const chain: TestBlock[] = [leaf('end')];
  while (chain.length <= 100_000) chain.push(cborNode([chain.at(-1) as TestBlock]));
  const deep = chain.at(-1) as TestBlock;
  const short = chain.slice(0, 20_000);
  const cases: [string, TestBlock, TestBlock[]][] = [
    ['wide', wide, [wide, ...leaves]],
    ['wide, the root last', wide, [...leaves, wide]],
    ['deep', deep, chain.toReversed()],
    ['deep, the root last', deep, chain],
    // Every second one first: half of them wait for the other half.
    ['deep, in a bad order', short.at(-1) as TestBlock, [...short.filter((_, at) => at % 2 === 0), ...short]],
  ];
  for (const [name, root, blocks] of cases) {
    const tookMs = timeOf([root], blocks);
    t.ok(tookMs < 30_000, `${name}: ${Math.round(tookMs)} ms`);
  }
});

t.test('more than is kept in memory is refused, and what is done with makes room', async (t) => {
  const limits = { blocksMax: 100, awaitedMax: 6, linksMax: 6 };
  const leaves = Array.from({ length: 7 }, (_, at) => leaf(`${at}`));
  const two = (at: number) => cborNode(leaves.slice(at, at + 2));
  const take =
    (root: TestBlock, ...blocks: TestBlock[]) =>
    () => {
      const completeness = new Completeness([root.link], limits);
      for (const { link, bytes } of blocks) completeness.came(link, bytes);
      completeness.check();
    };
  const wide = cborNode(leaves);
  t.throws(take(wide, wide), { name: 'RangeError', message: 'more than 6 blocks are awaited' });
  t.doesNotThrow(take(wide, ...leaves, wide), 'what has come is not awaited');
  const root = cborNode([two(0), two(2), two(4)]);
  t.throws(take(root, two(0), two(2), two(4)), { name: 'RangeError', message: /more than 6 blocks and links/ });
  t.doesNotThrow(take(root, two(0), two(2), root, two(4), ...leaves));
  t.doesNotThrow(take(root, ...leaves, two(0), two(2), two(4), root), 'from the leaves up nothing is kept');
  t.throws(take(leaf('r'), ...Array.from({ length: 101 }, (_, at) => leaf(`${at}`))), {
    message: /more than 100 blocks/,
  });
});

import t from 'tap';
import { isPinfoldError } from '../../src/model/errors.ts';
import { pinOp, TestCluster, type TestPeer } from '../support/crdt-peers.ts';

const names = ['a', 'b', 'c'] as const;
type Lists = Record<(typeof names)[number], string[]>;

/** All ways in which three peers may trust each other: one bit for each ordered pair. */
function* allLists(): Iterable<Lists> {
  const pairs = names.flatMap((who) => names.filter((whom) => whom !== who).map((whom) => [who, whom] as const));
  for (let bits = 0; bits < 2 ** pairs.length; bits++) {
    const lists: Lists = { a: [], b: [], c: [] };
    for (const [i, [who, whom]] of pairs.entries()) if (bits & (1 << i)) lists[who].push(whom);
    yield lists;
  }
}

function knowAll(peers: readonly TestPeer[]): boolean {
  return peers.every(({ trust }) => peers.every(({ peerId }) => trust.listOf(peerId) !== undefined));
}

/** Three peers that know each other, and whom they trust. */
async function clusterOf(lists: Lists, seed: number): Promise<{ cluster: TestCluster; peers: TestPeer[] }> {
  const cluster = new TestCluster(seed);
  for (const name of names) await cluster.add({ name, trusts: lists[name], crdt: { antiEntropyIntervalMs: 1_000 } });
  const peers = names.map((name) => cluster.peer(name));
  await cluster.until(() => peers.every(({ consensus }) => consensus.status().phase === 'ready'), 'ready', 70_000);
  await cluster.until(() => knowAll(peers), 'the lists are known');
  return { cluster, peers };
}

t.test(
  'every combination of lists: a write is seen everywhere, or its answer names who will not, or it is refused',
  async (t) => {
    let seed = 0;
    const counts = { everywhere: 0, named: 0, refused: 0 };
    for (const lists of allLists()) {
      const { cluster, peers } = await clusterOf(lists, ++seed);
      const promised = new Map<string, TestPeer[]>();
      for (const peer of peers) {
        const outcome = await peer.one(pinOp(`of ${peer.name}`, { name: peer.name }));
        const others = peers.filter((other) => other !== peer);
        if (!outcome.ok) {
          counts.refused++;
          t.ok(isPinfoldError(outcome.error, 'NOT_TRUSTED'), outcome.error.message);
          promised.set(peer.name, []);
          continue;
        }
        const { unseenBy } = outcome;
        if (unseenBy.length === 0) counts.everywhere++;
        else counts.named++;
        t.ok(unseenBy.length < others.length, `${JSON.stringify(lists)}: what nobody sees is refused`);
        promised.set(peer.name, [peer, ...others.filter(({ peerId }) => !unseenBy.includes(peerId))]);
      }
      const sees = (peer: TestPeer) =>
        [...promised]
          .filter(([, by]) => by.includes(peer))
          .map(([name]) => name)
          .sort();
      const isKept = () => peers.every((peer) => sees(peer).every((name) => peer.names().includes(name)));
      await cluster.until(isKept, `${JSON.stringify(lists)}: all that was promised is there`, 30_000);
      await cluster.time.advance(5_000);
      for (const peer of peers)
        t.strictSame(peer.names().sort(), sees(peer), `${peer.name} of ${JSON.stringify(lists)}`);
      for (const peer of peers) {
        const distrusting = peer.consensus.status().alerts.filter(({ kind }) => kind === 'DISTRUSTED_BY');
        const unseenBy = peers.filter((other) => !(promised.get(peer.name) ?? []).includes(other) && other !== peer);
        t.strictSame(distrusting.map(({ peerId }) => peerId).sort(), unseenBy.map(({ peerId }) => peerId).sort());
      }
      await cluster.stop();
    }
    t.equal(seed, 64);
    t.comment(JSON.stringify(counts));
    t.ok(counts.everywhere > 0 && counts.named > 0 && counts.refused > 0);
  },
);

const quick = { antiEntropyIntervalMs: 1_000 };
const distrusted = ({ consensus }: TestPeer) =>
  consensus
    .status()
    .alerts.filter(({ kind }) => kind === 'DISTRUSTED_BY')
    .map(({ peerId }) => peerId);

t.test('one peer with a wrong list does not stop the others, and its own writes are seen', async (t) => {
  const cluster = new TestCluster(3);
  const good: TestPeer[] = [];
  for (const name of ['a', 'b', 'c']) good.push(await cluster.add({ name, trusts: 'all', crdt: quick }));
  const wrong = await cluster.add({ name: 'wrong', trusts: ['nobody there'], crdt: quick });
  const peers = [...good, wrong];
  await cluster.until(() => peers.every(({ consensus }) => consensus.status().phase === 'ready'), 'ready', 70_000);
  await cluster.until(() => knowAll(peers), 'the lists are known');
  const [a] = good as [TestPeer];
  const outcome = await a.one(pinOp(1, { name: 'of a' }));
  t.ok(outcome.ok);
  t.strictSame(outcome.ok && outcome.unseenBy, [wrong.peerId]);
  const own = await wrong.one(pinOp(2, { name: 'of the wrong one' }));
  t.strictSame(own.ok && own.unseenBy, []);
  await cluster.until(() => good.every(({ pinset }) => pinset.count() === 2), 'the three have both');
  t.equal(new Set(good.map((peer) => peer.root())).size, 1);
  t.strictSame(wrong.names(), ['of the wrong one']);
  t.strictSame(good.map(distrusted), [[wrong.peerId], [wrong.peerId], [wrong.peerId]]);
  await cluster.stop();
});

t.test(
  'trust that is given ends the refusal and the alerts, without a restart, and what was missed comes',
  async (t) => {
    const { cluster, peers } = await clusterOf({ a: ['b'], b: ['a'], c: ['a', 'b'] }, 4);
    const [a, b, c] = peers as [TestPeer, TestPeer, TestPeer];
    const refused = await c.one(pinOp(1));
    t.ok(!refused.ok && isPinfoldError(refused.error, 'NOT_TRUSTED'));
    if (!refused.ok) {
      t.match(refused.error.message, `pinfold peers trust --add ${c.peerId}`);
      for (const { peerId } of [a, b]) t.match(refused.error.message, peerId);
    }
    t.strictSame(distrusted(c).sort(), [a.peerId, b.peerId].sort());
    await a.one(pinOp(2));
    a.trust.change([b.peerId, c.peerId]);
    await cluster.until(() => c.consensus.refusal() === undefined, 'c may write', 10_000);
    t.strictSame(distrusted(c), [], 'b has it through a');
    const outcome = await c.one(pinOp(1));
    t.strictSame(outcome.ok && outcome.unseenBy, []);
    await cluster.until(() => peers.every(({ pinset }) => pinset.count() === 2), 'all have all');
    await cluster.stop();
  },
);

t.test('a peer that starts cut off knows who takes its writes', async (t) => {
  const { cluster, peers } = await clusterOf({ a: ['b', 'c'], b: ['a'], c: ['a', 'b'] }, 5);
  const [a, b, c] = peers as [TestPeer, TestPeer, TestPeer];
  await b.one(pinOp('earlier'));
  await cluster.pumped(b, b.stop());
  cluster.hub.partition(a.peerId, b.peerId);
  cluster.hub.partition(c.peerId, b.peerId);
  await cluster.pumped(b, b.start());
  await cluster.until(() => b.consensus.status().phase === 'ready', 'ready');
  await cluster.time.advance(30_000); // It waits a while for those whom it could compare its clock with.
  t.ok(knowAll([b]));
  const outcome = await b.one(pinOp('later'));
  t.strictSame(outcome.ok && outcome.unseenBy, []);
  await cluster.stop();
});

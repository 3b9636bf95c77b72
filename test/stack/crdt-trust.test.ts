import t, { type Test } from 'tap';
import { isPinfoldError } from '../../src/model/errors.ts';
import { pinOp, seededRandom, TestCluster, type TestPeer } from '../support/crdt-peers.ts';

const quick = { antiEntropyIntervalMs: 1_000 };
const distrusted = ({ consensus }: TestPeer) =>
  consensus
    .status()
    .alerts.filter(({ kind }) => kind === 'DISTRUSTED_BY')
    .map(({ peerId }) => peerId);

type Lists = Record<string, string[]>;

interface Case {
  lists: Lists;
  /** It takes state and hands none on; it writes nothing. */
  follower?: string;
  seed: number;
}

/** All ways in which three peers may trust each other: one bit for each ordered pair. */
function* allLists(names: readonly string[]): Iterable<Lists> {
  const pairs = pairsOf(names);
  for (let bits = 0; bits < 2 ** pairs.length; bits++) {
    yield listsWith(
      names,
      pairs.filter((_, i) => bits & (1 << i)),
    );
  }
}

function pairsOf(names: readonly string[]): [string, string][] {
  return names.flatMap((who) => names.filter((whom) => whom !== who).map((whom): [string, string] => [who, whom]));
}

function listsWith(names: readonly string[], pairs: readonly [string, string][]): Lists {
  const lists: Lists = Object.fromEntries(names.map((name) => [name, []]));
  for (const [who, whom] of pairs) lists[who]?.push(whom);
  return lists;
}

function knowAll(peers: readonly TestPeer[]): boolean {
  return peers.every(({ trust }) => peers.every(({ peerId }) => trust.listOf(peerId) !== undefined));
}

/** Peers that know each other, and whom they trust. */
async function clusterOf({ lists, follower, seed }: Case): Promise<{ cluster: TestCluster; peers: TestPeer[] }> {
  const cluster = new TestCluster(seed);
  for (const [name, trusts] of Object.entries(lists)) {
    await cluster.add({ name, trusts, crdt: { ...quick, follower: name === follower } });
  }
  const peers = [...cluster.peers.values()];
  await cluster.until(() => peers.every(({ consensus }) => consensus.status().phase === 'ready'), 'ready', 70_000);
  await cluster.until(() => knowAll(peers), 'the lists are known');
  return { cluster, peers };
}

/** Each peer writes once; what it was told must be what is so. */
async function checkPromises(t: Test, one: Case, counts: { everywhere: number; named: number; refused: number }) {
  const { cluster, peers } = await clusterOf(one);
  const what = JSON.stringify(one);
  const seenBy = new Map<TestPeer, TestPeer[]>();
  for (const peer of peers.filter(({ name }) => name !== one.follower)) {
    const outcome = await peer.one(pinOp(`of ${peer.name}`, { name: peer.name }));
    const others = peers.filter((other) => other !== peer);
    if (!outcome.ok) {
      counts.refused++;
      t.ok(isPinfoldError(outcome.error, 'NOT_TRUSTED'), outcome.error.message);
      seenBy.set(peer, []);
      continue;
    }
    const { unseenBy } = outcome;
    counts[unseenBy.length === 0 ? 'everywhere' : 'named']++;
    t.ok(unseenBy.length < others.length, `${what}: what nobody sees is refused`);
    seenBy.set(peer, [peer, ...others.filter(({ peerId }) => !unseenBy.includes(peerId))]);
  }
  const sees = (peer: TestPeer) =>
    [...seenBy]
      .filter(([, by]) => by.includes(peer))
      .map(([author]) => author.name)
      .sort();
  const isKept = () => peers.every((peer) => sees(peer).every((name) => peer.names().includes(name)));
  await cluster.until(isKept, `${what}: all that was promised is there`, 30_000);
  await cluster.time.advance(5_000);
  for (const peer of peers) t.strictSame(peer.names().sort(), sees(peer), `${peer.name} of ${what}`);
  for (const [peer, by] of seenBy) {
    const never = peers.filter((other) => other !== peer && !by.includes(other)).map(({ peerId }) => peerId);
    t.strictSame(distrusted(peer).sort(), never.sort(), `alerts of ${peer.name}`);
  }
  await cluster.stop();
}

t.test(
  'every combination of lists: a write is seen everywhere, or its answer names who will not, or it is refused',
  async (t) => {
    let seed = 0;
    const counts = { everywhere: 0, named: 0, refused: 0 };
    for (const lists of allLists(['a', 'b', 'c'])) await checkPromises(t, { lists, seed: ++seed }, counts);
    t.equal(seed, 64);
    t.ok(counts.everywhere > 20 && counts.named > 20 && counts.refused > 20, JSON.stringify(counts));
  },
);

t.test('the same of four peers, one of them a follower now and then, at random', async (t) => {
  const random = seededRandom(21);
  const names = ['a', 'b', 'c', 'd'];
  const counts = { everywhere: 0, named: 0, refused: 0 };
  for (let seed = 1; seed <= 40; seed++) {
    const density = random.float();
    const lists = listsWith(
      names,
      pairsOf(names).filter(() => random.float() < density),
    );
    const one: Case = { lists, seed };
    if (random.float() < 0.4) one.follower = names[Math.floor(random.float() * 4)] as string;
    await checkPromises(t, one, counts);
  }
  t.ok(counts.everywhere > 10 && counts.named > 10 && counts.refused > 10, JSON.stringify(counts));
});

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
    const { cluster, peers } = await clusterOf({ lists: { a: ['b'], b: ['a'], c: ['a', 'b'] }, seed: 4 });
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
  const { cluster, peers } = await clusterOf({ lists: { a: ['b', 'c'], b: ['a'], c: ['a', 'b'] }, seed: 5 });
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

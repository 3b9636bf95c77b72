import t from 'tap';
import { pinOp, TestCluster, type TestPeer } from '../support/crdt-peers.ts';

const quick = { antiEntropyIntervalMs: 500 };

async function three() {
  const cluster = new TestCluster(8);
  for (const name of ['a', 'b', 'c']) await cluster.add({ name, trusts: 'all', crdt: quick });
  const [a, b, c] = ['a', 'b', 'c'].map((name) => cluster.peer(name)) as [TestPeer, TestPeer, TestPeer];
  const peers = [a, b, c];
  await cluster.until(() => peers.every(({ consensus }) => consensus.status().phase === 'ready'), 'ready');
  await cluster.until(() => peers.every(({ monitor }) => monitor?.members().length === 3), 'acquainted');
  return { cluster, a, b, c, peers };
}

const holdersOf = ({ consensus }: TestPeer) => consensus.status().log.holders.map(({ peerId }) => peerId);

/** Whether so many peers could be asked for: the code of the refusal, or 'ok'. */
function replicated({ consensus }: TestPeer, count: number): string {
  return consensus.levelRefusal({ kind: 'replicated', count })?.code ?? 'ok';
}

t.test('a forgotten peer holds no log and counts for no level, at all peers, until it is back', async (t) => {
  const { cluster, a, b, c } = await three();
  await a.one(pinOp(1));
  await cluster.until(() => holdersOf(a).includes(c.peerId) && holdersOf(b).includes(c.peerId), 'c is a holder');
  t.equal(replicated(a, 3), 'ok');
  await cluster.pumped(c, c.stop());
  t.equal(replicated(a, 3), 'ok', 'a member that is away can come back');
  await cluster.pumped(a, a.monitor?.forget(c.peerId) ?? Promise.reject(new Error('no monitor')));
  await cluster.until(() => b.monitor?.isMember(c.peerId) === false, 'b has heard of it');
  t.notOk(holdersOf(a).includes(c.peerId));
  t.notOk(holdersOf(b).includes(c.peerId));
  t.equal(replicated(a, 3), 'LEVEL_UNREACHABLE');
  t.equal(replicated(b, 2), 'ok');

  await cluster.pumped(c, c.start());
  await cluster.until(
    () => a.monitor?.isMember(c.peerId) === true && b.monitor?.isMember(c.peerId) === true,
    'it is back',
  );
  await cluster.until(() => a.root() === c.root() && b.root() === c.root(), 'and has all');
  await cluster.until(() => holdersOf(a).includes(c.peerId), 'and holds the log again');
  t.equal(replicated(a, 3), 'ok');
  await cluster.stop();
});

t.test('T4: who is away and not trusting is named; once it is forgotten it is not', async (t) => {
  const cluster = new TestCluster(2);
  const a = await cluster.add({ name: 'a', trusts: 'all', crdt: quick });
  const b = await cluster.add({ name: 'b', trusts: 'all', crdt: quick });
  const c = await cluster.add({ name: 'c', trusts: ['b'], crdt: quick });
  await cluster.until(() => [a, b, c].every(({ consensus }) => consensus.status().phase === 'ready'), 'ready');
  await cluster.until(() => a.trust.listOf(c.peerId) !== undefined, 'acquainted');
  b.trust.change([]);
  await cluster.until(() => a.trust.unseen().unseenBy.length === 2, 'a knows that neither takes its writes', 10_000);
  const refused = await a.one(pinOp(1));
  t.equal(!refused.ok && refused.error.code, 'NOT_TRUSTED');
  await cluster.pumped(c, c.stop());
  t.equal(a.trust.unseen().isRefused, true, 'it counts as it last was');
  b.trust.change('all');
  await cluster.until(() => !a.trust.unseen().isRefused, 'b takes them again', 10_000);
  t.strictSame(a.trust.unseen().unseenBy, [], 'c gets them by b, when it is back');
  c.trust.change([]);
  await cluster.pumped(c, c.start());
  c.trust.change([]);
  await cluster.until(() => a.trust.unseen().unseenBy.includes(c.peerId), 'c says that it trusts nobody', 15_000);
  const named = await a.one(pinOp(2));
  t.strictSame(named.ok && named.unseenBy, [c.peerId]);
  await cluster.pumped(c, c.stop());
  await cluster.pumped(b, b.monitor?.forget(c.peerId) ?? Promise.reject(new Error('no monitor')));
  await cluster.until(() => a.monitor?.isMember(c.peerId) === false, 'forgotten');
  const after = await a.one(pinOp(3));
  t.strictSame(after.ok && after.unseenBy, []);
  t.strictSame(a.consensus.status().alerts, []);
  await cluster.stop();
});

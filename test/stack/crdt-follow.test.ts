import t from 'tap';
import type { PeerRpcHandlers } from '../../src/network/peer-methods.ts';
import { pinOp, TestCluster, type TestPeer } from '../support/crdt-peers.ts';

/** Batches that this peer sends by Sync from now on, by who gets them. */
function counted(peer: TestPeer): Map<string, number> {
  const sent = new Map<string, number>();
  const handlers = peer.consensus.handlers as PeerRpcHandlers;
  const { sync } = handlers;
  handlers.sync = async function* (requests, context) {
    for await (const response of sync(requests, context)) {
      const batches = response.message.case === 'batches' ? response.message.value.batches.length : 0;
      sent.set(context.peerId, (sent.get(context.peerId) ?? 0) + batches);
      yield response;
    }
  };
  return sent;
}

async function three() {
  // Without gossip, so that all that comes comes by Sync.
  const cluster = new TestCluster(1, undefined, { dropProbability: 1 });
  const peers: TestPeer[] = [];
  const sent = new Map<TestPeer, Map<string, number>>();
  for (const name of ['a', 'b', 'c']) {
    const peer = await cluster.add({ name });
    peers.push(peer);
    sent.set(peer, counted(peer));
  }
  const [a, b, c] = peers as [TestPeer, TestPeer, TestPeer];
  await cluster.until(() => peers.every(({ consensus }) => consensus.status().phase === 'ready'), 'ready');
  await cluster.time.advance(20_000);
  const times = (from: TestPeer, to: TestPeer) => sent.get(from)?.get(to.peerId) ?? 0;
  return { cluster, a, b, c, times };
}

async function write(cluster: TestCluster, peer: TestPeer, label: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await peer.one(pinOp(`${label} ${i}`));
    await cluster.time.advance(20);
  }
}

t.test('followed streams carry each batch once: not back to its author, and not by a third (S5)', async (t) => {
  const { cluster, a, b, c, times } = await three();
  const before = new Map(
    [a, b, c].flatMap((from) => [a, b, c].map((to) => [`${from.name}${to.name}`, times(from, to)])),
  );
  const more = (from: TestPeer, to: TestPeer) => times(from, to) - (before.get(`${from.name}${to.name}`) ?? 0);
  await write(cluster, a, 'of a', 30);
  await cluster.until(() => b.pinset.count() === 30 && c.pinset.count() === 30, 'all have it', 10_000);
  t.equal(more(b, a) + more(c, a), 0, 'nothing goes back to its author');
  t.equal(more(b, c) + more(c, b), 0, 'nor by a third');
  t.ok(more(a, b) >= 30 && more(a, c) >= 30, 'it comes from its author');
  await cluster.stop();
});

t.test('when the author is not followed any more, its batches come by others', async (t) => {
  const { cluster, a, b, c } = await three();
  await write(cluster, a, 'first', 3);
  await cluster.until(() => c.pinset.count() === 3, 'there');
  cluster.hub.partition(a.peerId, c.peerId);
  await write(cluster, a, 'second', 20);
  await cluster.until(() => b.pinset.count() === 23 && c.pinset.count() === 23, 'through b', 5_000);
  t.equal(c.root(), a.root());
  cluster.hub.heal(a.peerId, c.peerId);
  await write(cluster, a, 'third', 5);
  await cluster.until(() => c.pinset.count() === 28, 'from a again', 30_000);
  await cluster.stop();
});

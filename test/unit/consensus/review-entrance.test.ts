import { create } from '@bufbuild/protobuf';
import t from 'tap';
import { SyncResponseSchema } from '../../../gen/pinfold/peer/v1/service_pb.ts';
import { decodeSignedBatch } from '../../../src/consensus/crdt/codec/signed-batch.ts';
import type { Batch } from '../../../src/consensus/crdt/core/types.ts';
import { KnownSignatures } from '../../../src/consensus/crdt/known-signatures.ts';
import { crdtMetrics } from '../../../src/consensus/crdt/metrics.ts';
import { Replicas } from '../../../src/consensus/crdt/state/replicas.ts';
import { Followers, type FollowersNeeds } from '../../../src/consensus/crdt/sync/followers.ts';
import { memoryAddress } from '../../../src/network/memory/memory-network.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { noMetrics } from '../../../src/runtime/metrics.ts';
import { CraftedAuthor, stranger } from '../../support/crafted-author.ts';
import { pinOp, TestCluster, type TestPeer, testSigner } from '../../support/crdt-peers.ts';
import { virtualTime } from '../../support/virtual-time.ts';

const isReady = ({ consensus }: TestPeer) => consensus.status().phase === 'ready';
const alerts = ({ consensus }: TestPeer) => consensus.status().alerts.map(({ kind }) => kind);

t.test('a peer that is connected and never says Hello does not keep a fresh one joining for ever', async (t) => {
  const cluster = new TestCluster();
  await stranger(cluster);
  const a = await cluster.add({ name: 'a', bootstrap: [memoryAddress(testSigner('stranger').peerId)] });
  await cluster.time.advance(30_000);
  t.same(a.network.connected(), [testSigner('stranger').peerId]);
  t.notOk(isReady(a));
  await cluster.until(() => isReady(a), 'it begins', 60_000);
  t.equal((await a.one(pinOp(1))).ok, true);
  await cluster.stop();
});

/** `old` has joined `founder`, so its log has a floor; the founder is away for good when `test` runs. */
async function withoutFounder(): Promise<{ cluster: TestCluster; old: TestPeer }> {
  const cluster = new TestCluster();
  const founder = await cluster.add({ name: 'founder' });
  await founder.commit(...Array.from({ length: 2_000 }, (_, i) => ({ ops: [pinOp(i, { name: `n${i}` })] })));
  const old = await cluster.add({ name: 'old' });
  await cluster.until(() => isReady(old) && old.pinset.count() === 2_000, 'joined');
  await founder.stop();
  cluster.peers.delete('founder');
  return { cluster, old };
}

t.test('a peer began as it reached nobody, and wrote nothing: it joins when it meets the cluster', async (t) => {
  const { cluster, old } = await withoutFounder();
  cluster.hub.partition(old.peerId, testSigner('late').peerId);
  const late = await cluster.add({ name: 'late' });
  await cluster.until(() => isReady(late), 'it begins alone', 70_000);
  cluster.hub.heal(old.peerId, late.peerId);
  await cluster.until(() => late.pinset.count() === 2_000 && isReady(late), 'it joined after all');
  t.equal(late.root(), old.root());
  t.same(alerts(late), []);
  await cluster.stop();
});

t.test(
  'a peer began alone and wrote: what it wrote reaches the others, it says that it cannot follow, and rebuilds',
  async (t) => {
    const { cluster, old } = await withoutFounder();
    cluster.hub.partition(old.peerId, testSigner('late').peerId);
    const late = await cluster.add({ name: 'late' });
    await cluster.until(() => isReady(late), 'it begins alone', 70_000);
    t.equal((await late.one(pinOp('mine', { name: 'mine' }))).ok, true);
    cluster.hub.heal(old.peerId, late.peerId);
    await cluster.until(() => old.pinset.count() === 2_001, 'nothing acknowledged is lost', 60_000);
    await cluster.until(() => alerts(late).includes('REBUILD_NEEDED'), 'the operator is told', 60_000);
    t.equal((await late.one(pinOp('more'))).ok, true);
    await cluster.until(() => old.pinset.count() === 2_002, 'it still writes', 60_000);
    await cluster.until(() => late.pinset.count() === 2_002, 'it has rebuilt');
    t.equal(late.root(), old.root());
    t.same(alerts(late), []);
    await cluster.stop();
  },
);

t.test('REBUILD_NEEDED goes when another source has helped', async (t) => {
  const cluster = new TestCluster();
  const a = await cluster.add({ name: 'a' });
  const c = await cluster.add({ name: 'c' });
  await cluster.until(() => isReady(c), 'ready');
  await a.one(pinOp('first'));
  await cluster.until(() => c.pinset.count() === 1, 'c has it');
  for (const other of ['a', 'd']) cluster.hub.partition(c.peerId, testSigner(other).peerId);
  for (let i = 0; i < 50; i++) await a.one(pinOp(i));
  const d = await cluster.add({ name: 'd' });
  await cluster.until(() => isReady(d) && d.pinset.count() === 51, 'd has joined a');
  cluster.hub.heal(c.peerId, d.peerId);
  await cluster.until(() => alerts(c).includes('REBUILD_NEEDED'), 'the log of d has a floor', 60_000);
  t.equal(c.pinset.count(), 1);
  cluster.hub.heal(c.peerId, a.peerId);
  await cluster.until(() => c.pinset.count() === 51, 'a has all', 60_000);
  await cluster.until(() => !alerts(c).includes('REBUILD_NEEDED'), 'the alert goes', 60_000);
  t.equal(c.root(), d.root());
  await cluster.stop();
});

t.test('followed streams end when nothing is to be taken', async (t) => {
  const time = virtualTime();
  const author = new CraftedAuthor('x');
  const taken: Batch[] = [];
  let isOpen = true;
  const send = Promise.withResolvers<void>();
  let isEnded = false;
  async function* stream() {
    const message = () =>
      create(SyncResponseSchema, {
        message: { case: 'batches', value: { batches: [decodeSignedBatch(author.batch([{}]))] } },
      });
    try {
      yield message();
      await send.promise;
      yield message();
      yield message();
    } finally {
      isEnded = true;
    }
  }
  const followers = new Followers({
    options: { followPeersMax: 1 },
    store: { replicas: new Replicas({} as never), needs: { peerId: author.peerId } } as FollowersNeeds['store'],
    rpc: { call: stream as never },
    intake: { take: async (batch: Batch) => void taken.push(batch) } as unknown as FollowersNeeds['intake'],
    ...time,
    random: { float: () => 0.5, bytes: (n) => new Uint8Array(n) },
    logger: silentLogger,
    metrics: crdtMetrics(noMetrics),
    sources: () => ['source'],
    isOpen: () => isOpen,
    acknowledger: { wanted() {} },
    signatures: new KnownSignatures(),
    heard() {},
    broke() {},
  });
  followers.adjust();
  await time.advance(10);
  t.equal(taken.length, 1);
  isOpen = false;
  send.resolve();
  await time.advance(10);
  t.equal(taken.length, 1);
  t.ok(isEnded);
  t.equal(followers.count, 0);
  await followers.stop();
});

import { create } from '@bufbuild/protobuf';
import t from 'tap';
import { MergeRangeRequestSchema } from '../../gen/pinfold/peer/v1/service_pb.ts';
import { decodeReplicaRow } from '../../src/consensus/crdt/state/replica-row.ts';
import { forksTable, replicasTable } from '../../src/consensus/crdt/tables.ts';
import { pinOp, TestCluster, type TestPeer, testKey, unpinOp } from '../support/crdt-peers.ts';

const states = ({ storage }: TestPeer) =>
  [...storage.read.range(forksTable)].map(({ value }) => JSON.parse(Buffer.from(value).toString()).state);
const forkAlerts = ({ consensus }: TestPeer) => consensus.status().alerts.filter(({ kind }) => kind === 'FORK');
const never = new AbortController().signal;

/** Of peer `a` there are two histories: `c` has the one, `a` itself and `b` the other, and nobody knows of it yet. `restsOnIt`: `b` has written on. */
async function parted(restsOnIt: boolean): Promise<{ cluster: TestCluster; a: TestPeer; b: TestPeer; c: TestPeer }> {
  const cluster = new TestCluster();
  const crdt = { restartCompareTimeoutMs: 500 };
  const a = await cluster.add({ name: 'a', crdt });
  const b = await cluster.add({ name: 'b', crdt });
  const c = await cluster.add({ name: 'c', crdt });
  const { hub } = cluster;
  await a.one(pinOp('shared'));
  await cluster.until(() => [b, c].every(({ pinset }) => pinset.count() === 1), 'shared');
  const older = a.storage.control.copy();
  hub.partition(b.peerId, a.peerId);
  hub.partition(b.peerId, c.peerId);
  await a.one(pinOp('of the one history'));
  await cluster.until(() => c.pinset.count() === 2, 'c has the one');
  hub.partition(a.peerId, c.peerId);
  await a.crash();
  a.storage = older;
  await a.start();
  await cluster.time.advance(1_000);
  for (const name of [1, 2, 3]) await a.one(pinOp(name));
  hub.heal(a.peerId, b.peerId);
  await cluster.until(() => b.pinset.count() === 4, 'b has the other');
  if (restsOnIt) {
    await b.one(pinOp('rests on it'));
    await cluster.until(() => a.pinset.count() === 5, 'a has what rests on it');
  }
  return { cluster, a, b, c };
}

t.test('who has written on what was given up, and does not know it, is not to blame', async (t) => {
  const { cluster, a, b, c } = await parted(true);
  cluster.hub.partition(a.peerId, b.peerId);
  cluster.hub.heal(a.peerId, c.peerId);
  await cluster.until(() => states(a).includes('settled'), 'a gives its branch up', 30_000);
  t.equal((await b.one(unpinOp(3))).ok, true);
  cluster.hub.heal(a.peerId, b.peerId);
  cluster.hub.heal(b.peerId, c.peerId);
  await cluster.time.advance(40_000);
  for (const peer of [a, c]) {
    const frozen = [...peer.storage.read.range(replicasTable)].map(({ value }) => decodeReplicaRow(value).frozen);
    t.same(
      frozen.filter((reason) => reason !== ''),
      [],
    );
    t.notOk(forkAlerts(peer).some(({ peerId }) => peerId === b.peerId));
  }
  await cluster.stop();
});

t.test('who has taken in what was given up gives nobody its rows, and its alert stands', async (t) => {
  const { cluster, a, b, c } = await parted(false);
  cluster.hub.heal(a.peerId, c.peerId);
  cluster.hub.heal(b.peerId, c.peerId);
  await cluster.until(() => states(b).includes('lost'), 'b is told', 60_000);
  async function* request() {
    yield create(MergeRangeRequestSchema, { from: 0, to: 4_096 });
  }
  const answer = b.consensus.handlers.mergeRange(request(), { peerId: c.peerId, signal: never });
  await t.rejects(answer[Symbol.asyncIterator]().next(), { code: 'PEER_UNREACHABLE' });
  t.equal(b.consensus.refusal()?.code, 'STORE_FORKED');

  // A fork of another replica of the same author, which b has the right history of, settles meanwhile.
  const older = a.storage.control.copy();
  await a.one(pinOp('told to all'));
  await cluster.until(() => [b, c].every(({ pinset }) => pinset.get(testKey('told to all'))), 'all have it');
  for (const other of [b, c]) cluster.hub.partition(a.peerId, other.peerId);
  await cluster.time.advance(5_000);
  await a.crash();
  a.storage = older;
  await a.start();
  await cluster.time.advance(1_000);
  await a.one(pinOp('once more'));
  for (const other of [b, c]) cluster.hub.heal(a.peerId, other.peerId);
  await cluster.until(() => states(a).filter((state) => state === 'settled').length === 2, 'settled too', 60_000);
  await cluster.time.advance(180_000);
  t.match(forkAlerts(b), [{ peerId: a.peerId, message: /run "pinfold store rejoin" at this peer/ }]);
  await cluster.stop();
});

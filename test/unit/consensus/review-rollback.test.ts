import t from 'tap';
import { pinOp, TestCluster, type TestPeer } from '../../support/crdt-peers.ts';

const alerts = ({ consensus }: TestPeer) => consensus.status().alerts.map(({ kind, peerId }) => [kind, peerId]);

t.test(
  'a store that was put back unseen, and wrote before it met the others, is told of by its own peer',
  async (t) => {
    for (const writes of [0, 1, 2, 3, 7]) {
      const cluster = new TestCluster();
      const a = await cluster.add({ name: 'a' });
      const b = await cluster.add({ name: 'b' });
      await cluster.until(() => b.consensus.status().phase === 'ready', 'ready');
      await a.one(pinOp('before'));
      await cluster.until(() => b.pinset.count() === 1, 'b has it');
      const older = a.storage.control;
      await a.crash();
      await a.start();
      for (let i = 0; i < 3; i++) await a.one(pinOp(`lost ${i}`));
      await cluster.until(() => b.pinset.count() === 4, 'b has all');
      t.same([...alerts(a), ...alerts(b)], [], 'nothing is said of what is in order');
      await a.crash();
      a.storage = older.crash('machine');
      cluster.hub.partition(a.peerId, b.peerId);
      await a.start();
      for (let i = 0; i < writes; i++) t.equal((await a.one(pinOp(`again ${i}`))).ok, true);
      cluster.hub.heal(a.peerId, b.peerId);
      await cluster.until(() => alerts(a).length > 0, `it is said at a (${writes} writes)`, 30_000);
      t.ok(
        alerts(a).every(([kind, peerId]) => ['FORK', 'ROLLED_BACK'].includes(kind as string) && peerId === a.peerId),
      );
      await cluster.stop();
    }
  },
);

import t from 'tap';
import { consensusSuite } from '../../suites/consensus.suite.ts';
import { TestCluster, testSigner } from '../../support/crdt-peers.ts';

consensusSuite(t, async (t) => {
  const cluster = new TestCluster();
  const peer = await cluster.add({ name: 'a' });
  t.teardown(() => cluster.stop());
  return {
    consensus: peer.consensus,
    pinset: peer.pinset,
    nowMs: () => cluster.time.clock.nowMs(),
    peerIds: [peer.peerId, testSigner('b').peerId],
  };
});

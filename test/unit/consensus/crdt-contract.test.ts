import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { systemClock, systemTimers } from '../../../src/runtime/clock.ts';
import { consensusSuite } from '../../suites/consensus.suite.ts';
import { TestCluster, testSigner } from '../../support/crdt-peers.ts';
import type { VirtualTime } from '../../support/virtual-time.ts';

const realTime: VirtualTime = {
  clock: systemClock,
  timers: systemTimers,
  advance: async (ms) => void (await sleep(ms)),
  pause() {},
  jump() {},
  pending: () => 0,
};

consensusSuite(t, async (t) => {
  const cluster = new TestCluster(1, realTime);
  const peer = await cluster.add({ name: 'a' });
  // The system's timers do not keep the process alive.
  const alive = setInterval(() => {}, 1_000);
  t.teardown(async () => {
    await cluster.stop();
    clearInterval(alive);
  });
  return {
    consensus: peer.consensus,
    pinset: peer.pinset,
    nowMs: () => cluster.time.clock.nowMs(),
    peerIds: [peer.peerId, testSigner('b').peerId],
  };
});

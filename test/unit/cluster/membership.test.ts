import t from 'tap';
import { ALLOCATED_SCAN_MS_MAX } from '../../../src/cluster/constants.ts';
import { membership } from '../../../src/cluster/membership.ts';
import type { CallContext } from '../../../src/model/call-context.ts';
import { pinOp, TestCluster, testSigner } from '../../support/crdt-peers.ts';

const away = testSigner('away').peerId;
const call = (signal = new AbortController().signal): CallContext => ({
  principal: 'anonymous',
  namespaces: 'all',
  deadlineMs: undefined,
  signal,
});

async function world() {
  const cluster = new TestCluster();
  const peer = await cluster.add({ name: 'a' });
  const state = { members: new Set([peer.peerId, away]), connected: [] as string[], forgotten: [] as string[] };
  const needs = {
    peerId: peer.peerId,
    pinset: peer.pinset,
    ...cluster.time,
    network: { dial: async () => away, connected: () => state.connected },
    monitor: {
      isMember: (peerId: string) => state.members.has(peerId),
      async forget(peerId: string) {
        state.forgotten.push(peerId);
        return state.members.delete(peerId);
      },
    },
  };
  return { cluster, peer, state, needs, members: membership(needs) };
}

/** The turns that it leaves to others are timers. */
async function ended<T>(cluster: TestCluster, work: Promise<T>): Promise<T> {
  let isDone = false;
  const done = work.finally(() => {
    isDone = true;
  });
  done.catch(() => {});
  while (!isDone) await cluster.time.advance(1);
  return done;
}

t.test('a member is removed, and the answer says how many pins are allocated to it', async (t) => {
  const { cluster, peer, state, members } = await world();
  for (let i = 0; i < 30; i++) await peer.one(pinOp(i, {}, i < 20 ? [away, peer.peerId] : [peer.peerId]));
  t.strictSame(await ended(cluster, members.remove(away, call())), { allocatedPins: 20, morePins: false, live: false });
  t.strictSame(state.forgotten, [away]);
  await t.rejects(members.remove(away, call()), { code: 'PEER_NOT_FOUND' });
  await cluster.stop();
});

t.test('one that is connected is removed, and told to be live', async (t) => {
  const { cluster, state, members } = await world();
  state.connected.push(away);
  t.match(await ended(cluster, members.remove(away, call())), { live: true, allocatedPins: 0 });
  await cluster.stop();
});

t.test('oneself, and nobody at all', async (t) => {
  const { cluster, peer, state, members } = await world();
  await t.rejects(members.remove(peer.peerId, call()), { code: 'INVALID_ARGUMENT' });
  await t.rejects(members.remove('', call()), { code: 'INVALID_ARGUMENT' });
  await t.rejects(members.remove('nobody', call()), { code: 'PEER_NOT_FOUND' });
  t.strictSame(state.forgotten, []);
  await cluster.stop();
});

t.test('a caller who leaves while pins are counted has removed nobody', async (t) => {
  const { cluster, peer, state, members } = await world();
  await peer.one(pinOp(1, {}, [away]));
  const abort = new AbortController();
  const work = members.remove(away, call(abort.signal));
  work.catch(() => {});
  abort.abort(new Error('gone'));
  await t.rejects(ended(cluster, work), { message: 'gone' });
  t.strictSame(state.forgotten, []);
  await cluster.stop();
});

t.test('very many pins are counted for a while, and then the answer says that there may be more', async (t) => {
  const { cluster, peer, needs } = await world();
  for (let i = 0; i < 200; i++) await peer.one(pinOp(i, {}, [away]));
  let nowMs = 0;
  // Each look at the clock is a tenth of what it may take.
  const clock = { ...needs.clock, monotonicMs: () => (nowMs += ALLOCATED_SCAN_MS_MAX / 10) };
  const { allocatedPins, morePins } = await ended(cluster, membership({ ...needs, clock }).remove(away, call()));
  t.ok(morePins);
  t.ok(allocatedPins > 0 && allocatedPins < 200, `${allocatedPins} of 200`);
  await cluster.stop();
});

t.test('an address that is none is refused before anything is dialled', async (t) => {
  const { cluster, members } = await world();
  t.equal(await members.add('/ip4/127.0.0.1/tcp/1', call()), away);
  await t.rejects(members.add('10.0.0.1:9096', call()), { code: 'INVALID_ARGUMENT' });
  await cluster.stop();
});

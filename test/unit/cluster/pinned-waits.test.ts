import t from 'tap';
import { type HeldBy, PinnedWaits } from '../../../src/cluster/pinned-waits.ts';
import { SharedWatching } from '../../../src/cluster/shared-watching.ts';
import type { WatchNeeds } from '../../../src/cluster/watch.ts';
import { cidOf, type WorldPeer, world } from './world.ts';

type World = Awaited<ReturnType<typeof world>>;

const never = new AbortController().signal;

function waitsOf({ time, random }: World, peer: WorldPeer): PinnedWaits {
  const needs = { ...peer, tracker: peer.tracker.tracker, ...time, random };
  return new PinnedWaits({ ...needs, shared: new SharedWatching(needs as unknown as WatchNeeds) });
}

/** What came of it, when something has. */
function begun(waiting: Promise<HeldBy>) {
  const state: { held: HeldBy | undefined; error: unknown } = { held: undefined, error: undefined };
  waiting.then(
    (held) => {
      state.held = held;
    },
    (error) => {
      state.error = error;
    },
  );
  return state;
}

t.test('resolves when so many nodes hold it, the own one among them', async (t) => {
  const w = await world(3);
  const [a, b, c] = w.peers as [WorldPeer, WorldPeer, WorldPeer];
  const cid = cidOf(1);
  await w.writeAll(cid, { allocations: [a.peerId, b.peerId] });
  const waits = waitsOf(w, a);
  const state = begun(waits.wait([cid], 2, { signal: never, timeoutMs: 30_000 }));
  await w.time.advance(1_000);
  b.tracker.set(cid, 'pinning');
  a.tracker.set(cid, 'pinned');
  await w.time.advance(1_000);
  t.equal(state.held, undefined);
  b.tracker.set(cid, 'pinned');
  await w.until(() => state.held !== undefined);
  t.equal(state.held?.count, 2);
  t.same([...(state.held?.acknowledgedBy ?? [])].sort(), [a.peerId, b.peerId].sort());
  t.equal(w.openCalls(b.peerId) + w.openCalls(c.peerId), 0, 'nobody waits: the streams have ended');
});

t.test('what nodes hold already is asked for, and known at once', async (t) => {
  const w = await world(3);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  for (const number of [1, 2]) {
    await w.writeAll(cidOf(number), { allocations: [a.peerId, b.peerId] });
    for (const peer of [a, b]) peer.tracker.set(cidOf(number), 'pinned');
  }
  const waits = waitsOf(w, a);
  const first = begun(waits.wait([cidOf(1)], 2, { signal: never, timeoutMs: 30_000 }));
  const both = begun(waits.wait([cidOf(1), cidOf(2)], 2, { signal: never, timeoutMs: 30_000 }));
  await w.until(() => first.held !== undefined && both.held !== undefined);
  t.equal(both.held?.count, 2);
});

t.test('one that let go of it does not count; the least of several is what was reached', async (t) => {
  const w = await world(2);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  for (const number of [1, 2]) await w.writeAll(cidOf(number), {});
  const waits = waitsOf(w, a);
  const state = begun(waits.wait([cidOf(1), cidOf(2)], 2, { signal: never, timeoutMs: 5_000 }));
  await w.time.advance(500);
  a.tracker.set(cidOf(1), 'pinned');
  a.tracker.set(cidOf(2), 'pinned');
  b.tracker.set(cidOf(1), 'pinned');
  await w.time.advance(500);
  b.tracker.set(cidOf(2), 'pinned');
  b.tracker.set(cidOf(2), 'unexpectedly_unpinned');
  await w.time.advance(2_000);
  t.equal(state.held, undefined);
  await w.until(() => state.held !== undefined);
  t.same(state.held, { count: 1, acknowledgedBy: [a.peerId] });
});

t.test('a member that is lost does not count until it comes back', async (t) => {
  const w = await world(2);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  const cid = cidOf(1);
  await w.writeAll(cid, {});
  const waits = waitsOf(w, a);
  const state = begun(waits.wait([cid], 2, { signal: never, timeoutMs: 30_000 }));
  b.tracker.set(cid, 'pinned');
  await w.time.advance(500);
  w.lose(b.peerId);
  await w.time.advance(500);
  a.tracker.set(cid, 'pinned');
  await w.time.advance(1_000);
  t.equal(state.held, undefined, 'its word is from before it was lost');
  w.heal(b.peerId);
  await w.until(() => state.held !== undefined);
  t.equal(state.held?.count, 2);
});

t.test('aborting ends the waiting, and nothing stays', async (t) => {
  const w = await world(2);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  await w.writeAll(cidOf(1), {});
  const waits = waitsOf(w, a);
  const abort = new AbortController();
  const state = begun(waits.wait([cidOf(1)], 2, { signal: abort.signal, timeoutMs: 30_000 }));
  await w.time.advance(500);
  t.ok(w.openCalls(b.peerId) > 0);
  const reason = new Error('enough');
  abort.abort(reason);
  await w.time.advance(500);
  t.equal(state.error, reason);
  t.equal(w.openCalls(b.peerId), 0);
  t.equal(w.time.pending(), 0, 'no timer is left');
});

t.test('thousands at once: few questions, one stream a member', async (t) => {
  const w = await world(2);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  const cids = Array.from({ length: 2_500 }, (_, i) => cidOf(i));
  for (const cid of cids) await w.writeAll(cid, {});
  const waits = waitsOf(w, a);
  const states = [0, 500, 1_000, 1_500, 2_000].map((from) =>
    begun(waits.wait(cids.slice(from, from + 500), 2, { signal: never, timeoutMs: 30_000 })),
  );
  await w.time.advance(500);
  for (const cid of cids) for (const peer of [a, b]) peer.tracker.set(cid, 'pinned');
  await w.until(() => states.every(({ held }) => held !== undefined));
  t.ok(states.every(({ held }) => held?.count === 2));
  t.ok((a.calls.get('getStatuses') ?? 0) <= 10, `${a.calls.get('getStatuses')} questions`);
  t.equal(a.calls.get('watchStatus'), 1);
});

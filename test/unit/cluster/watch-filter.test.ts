import t from 'tap';
import type { TrackerStatus } from '../../../src/model/status.ts';
import { count, open, statusOf } from './watch-client.ts';
import { cidOf, type WorldPeer, world } from './world.ts';

const failing: readonly TrackerStatus[] = ['pin_error', 'unpin_error'];

t.test('a watch of some statuses tells when they come and when they go, and nothing else', async (t) => {
  const w = await world(3);
  const [a, b, c] = w.peers as [WorldPeer, WorldPeer, WorldPeer];
  for (let i = 0; i < 50; i++) {
    await w.writeAll(cidOf(i), { name: `n${i}` });
    b.tracker.set(cidOf(i), i < 3 ? 'pin_error' : 'pinned');
  }
  let walked = 0;
  const { listAll } = b.tracker.tracker;
  b.tracker.tracker.listAll = (...args) => {
    walked++;
    return listAll(...args);
  };
  const seen = open(w, a, { statuses: failing });
  await w.until(() => seen.caughtUp === 1);
  t.equal(count(seen.events, 'status'), 3);
  t.equal(count(seen.events, 'pinned'), 0, 'no pins are listed');
  t.equal(walked, 0, 'of a rare status the index is read');
  b.tracker.set(cidOf(0), 'pinned');
  c.tracker.set(cidOf(9), 'pin_error');
  b.tracker.set(cidOf(20), 'unpinning');
  b.tracker.set(cidOf(20), undefined);
  await w.until(() => statusOf(seen, b, cidOf(0)) === 'pinned' && statusOf(seen, c, cidOf(9)) === 'pin_error');
  t.equal(count(seen.events, 'status'), 5, 'what was never told is not told when it goes');
  await w.writeAll(cidOf(2), { name: 'moved', allocations: [a.peerId] });
  await w.until(() => count(seen.events, 'pinned') === 1);
  await w.writeAll(cidOf(30), { name: 'moved', allocations: [a.peerId] });
  await a.remove(cidOf(1));
  await w.until(() => count(seen.events, 'unpinned') === 1);
  t.equal(count(seen.events, 'pinned'), 1, 'a pin of which nothing was told is not told');
  w.lose(b.peerId);
  await w.until(() => count(seen.events, 'peer-lost') === 1);
  w.heal(b.peerId);
  await w.until(() => count(seen.events, 'reset') === 1 && statusOf(seen, b, cidOf(0)) === undefined);
  await seen.stop();
});

t.test('a watch of some statuses that is resumed begins each peer anew', async (t) => {
  const w = await world(2);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  await w.writeAll(cidOf(1), {});
  await w.writeAll(cidOf(2), {});
  for (const n of [1, 2]) b.tracker.set(cidOf(n), 'pin_error');
  const positions = {
    history: Buffer.from('store'),
    flushedPosition: () => Buffer.from('here'),
    changedSince: () => [],
  };
  const first = open(w, a, { statuses: failing }, positions);
  await w.until(() => first.caughtUp === 1 && first.tokens.length > 0);
  const resumeToken = first.tokens.at(-1);
  await first.stop();
  b.tracker.set(cidOf(1), 'pinned');
  const again = open(w, a, { statuses: failing, resumeToken }, positions);
  await w.until(() => again.caughtUp === 1);
  t.equal(count(again.events, 'reset'), 2);
  t.equal(statusOf(again, b, cidOf(2)), 'pin_error');
  t.equal(statusOf(again, b, cidOf(1)), undefined);
  b.tracker.set(cidOf(2), 'pinning');
  await w.until(() => statusOf(again, b, cidOf(2)) === 'pinning');
  await again.stop();
});

t.test('a watch of some peers opens no stream of others', async (t) => {
  const w = await world(3);
  const [a, b, c] = w.peers as [WorldPeer, WorldPeer, WorldPeer];
  await w.writeAll(cidOf(1), {});
  for (const { tracker } of w.peers) tracker.set(cidOf(1), 'pinned');
  const seen = open(w, a, { peerIds: [b.peerId] });
  await w.until(() => seen.caughtUp === 1);
  t.same(
    [...seen.statuses.keys()].map((key) => key.split(' ')[0]),
    [b.peerId],
  );
  t.equal(w.openCalls(c.peerId), 0);
  w.lose(c.peerId);
  c.tracker.set(cidOf(1), 'pin_error');
  b.tracker.set(cidOf(1), 'pin_error');
  await w.until(() => statusOf(seen, b, cidOf(1)) === 'pin_error');
  t.equal(count(seen.events, 'peer-lost'), 0);
  await seen.stop();
});

t.test('statuses and no statuses at all: refused', async (t) => {
  const w = await world(1);
  const seen = open(w, w.peers[0] as WorldPeer, { statuses: failing, pinsOnly: true });
  await w.until(() => seen.ended);
  t.match(seen.error, { code: 'INVALID_ARGUMENT' });
});

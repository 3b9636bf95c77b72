import t from 'tap';
import { WATCH_READ_MAX } from '../../../src/cluster/constants.ts';
import { decodeResumeToken, encodeResumeToken } from '../../../src/cluster/resume-token.ts';
import type { WatchQuery } from '../../../src/cluster/watch.ts';
import type { Position } from '../../../src/consensus/consensus.ts';
import { byteString } from '../../../src/model/bytes.ts';
import { isAllocatedTo } from '../../../src/model/pin.ts';
import { pinKey } from '../../../src/model/pin-key.ts';
import { seededRandom } from '../../support/virtual-time.ts';
import {
  client,
  count,
  everything,
  noPositions,
  open,
  type Positions,
  statusOf,
  type World,
  watchAt,
} from './watch-client.ts';
import { callContext, cidOf, type WorldPeer, world } from './world.ts';

t.test('what there is, then every change, of all members', async (t) => {
  const w = await world(3);
  const [a, b, c] = w.peers as [WorldPeer, WorldPeer, WorldPeer];
  for (let i = 0; i < 1_200; i++) {
    await w.writeAll(cidOf(i), { name: `n${i}`, allocations: [a.peerId, b.peerId] });
    a.tracker.set(cidOf(i), 'pinned');
    if (i % 2 === 0) b.tracker.set(cidOf(i), 'pinning');
  }
  const seen = open(w, c);
  await w.until(() => seen.caughtUp === 1);
  t.equal(seen.pins.size, 1_200);
  t.equal(count(seen.events, 'pinned'), 1_200, 'each once');
  t.equal(count(seen.events, 'reset'), 0);
  t.equal([...seen.statuses.values()].filter((s) => s === 'pinned').length, 1_200);
  t.equal([...seen.statuses.values()].filter((s) => s === 'pinning').length, 600);
  b.tracker.set(cidOf(0), 'pinned');
  await c.remove(cidOf(1));
  await c.write(cidOf(2), { name: 'renamed', allocations: [a.peerId, b.peerId] });
  await w.until(() => statusOf(seen, b, cidOf(0)) === 'pinned' && seen.pins.size === 1_199);
  t.ok([...seen.pins.values()].includes('renamed'));
  t.equal(seen.caughtUp, 1);
  await seen.stop();
  await w.time.advance(100);
  for (const { peerId } of [a, b]) t.equal(w.openCalls(peerId), 0, 'no call is left');
  t.equal(w.time.pending(), 0, 'no timer is left');
});

t.test('many watches share one stream a member', async (t) => {
  const w = await world(2);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  await w.writeAll(cidOf(1), {});
  const shared = watchAt(a, w);
  const watchers = Array.from({ length: 30 }, () => {
    const call = callContext();
    return client(shared(everything, call), call).get();
  });
  await w.until(() => watchers.every((watcher) => watcher.caughtUp === 1));
  t.equal(w.openCalls(b.peerId), 1);
  b.tracker.set(cidOf(1), 'pinned');
  await w.until(() => watchers.every((watcher) => statusOf(watcher, b, cidOf(1)) === 'pinned'));
  await Promise.all(watchers.map((watcher) => watcher.stop()));
  t.equal(w.openCalls(b.peerId), 0);
});

t.test('a watch of few pins is not sent all rows; filters hold for pins and statuses', async (t) => {
  const w = await world(2);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  for (let i = 0; i < 50; i++) {
    await w.writeAll(cidOf(i), { name: i % 2 === 0 ? 'even' : 'odd' });
    b.tracker.set(cidOf(i), 'pinned');
  }
  let listed = 0;
  const { listAll } = b.tracker.tracker;
  b.tracker.tracker.listAll = (...args) => {
    listed++;
    return listAll(...args);
  };
  const few = open(w, a, { filter: { cids: [cidOf(7), cidOf(99)] } });
  const named = open(w, a, { filter: { nameEquals: 'even' } });
  await w.until(() => few.caughtUp === 1 && named.caughtUp === 1);
  t.equal(few.pins.size, 1);
  t.equal(statusOf(few, b, cidOf(7)), 'pinned');
  t.equal(named.pins.size, 25);
  t.equal([...named.statuses.values()].filter((s) => s === 'pinned').length, 25);
  t.ok(listed > 0);
  listed = 0;
  const again = open(w, a, { filter: { cids: [cidOf(7)] } });
  await w.until(() => again.caughtUp === 1);
  t.equal(listed, 0);
  await w.writeAll(cidOf(99), { name: 'odd' });
  b.tracker.set(cidOf(99), 'pinned');
  await w.until(() => statusOf(few, b, cidOf(99)) === 'pinned');
  await w.writeAll(cidOf(2), { name: 'odd' });
  await w.until(() => named.pins.size === 24);
  t.equal(again.pins.size, 1);
  await Promise.all([few.stop(), named.stop(), again.stop()]);
});

t.test('what does not concern a watch is not told: no message is empty', async (t) => {
  const w = await world(2);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  const cids = open(w, a, { filter: { cids: [cidOf(999)] } });
  const names = open(w, a, { filter: { nameEquals: 'another' } });
  const pins = open(w, a, { filter: { cids: [cidOf(999)] }, pinsOnly: true });
  await w.until(() => [cids, names, pins].every((seen) => seen.caughtUp === 1));
  for (let i = 0; i < 20; i++) {
    await w.writeAll(cidOf(i), { name: 'one' });
    b.tracker.set(cidOf(i), 'pinned');
    await w.time.advance(100);
  }
  await w.time.advance(2_000);
  for (const seen of [cids, names, pins]) {
    t.equal(seen.empty, 0);
    t.ok(seen.tokens.length > 1, 'tokens go on, so that a resumption need not look at it all again');
    await seen.stop();
  }
});

t.test('a claim whose wish is held already gets its status, in whatever order word comes', async (t) => {
  const w = await world(2);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  await w.writeAll(cidOf(1), { namespace: 'first' });
  b.tracker.set(cidOf(1), 'pinned');
  const seen = open(w, a, { changesOnly: true });
  await w.until(() => seen.caughtUp === 1);
  t.same(seen.events, [], 'changes only');
  await w.writeAll(cidOf(1), { namespace: 'second' });
  await w.until(() => statusOf(seen, b, cidOf(1), 'second') === 'pinned');
  t.pass('a second claim');
  await b.write(cidOf(2), {});
  b.tracker.set(cidOf(2), 'pinned');
  await w.time.advance(500);
  await a.write(cidOf(2), {});
  await w.until(() => statusOf(seen, b, cidOf(2)) === 'pinned');
  t.pass('a claim that comes after the word on it');
  await w.until(() => seen.pins.size > 0);
  for (const peer of w.peers) await peer.remove(cidOf(2));
  await w.until(() => statusOf(seen, b, cidOf(2)) === undefined);
  await w.writeAll(cidOf(2), {});
  await w.until(() => statusOf(seen, b, cidOf(2)) === 'pinned');
  t.pass('a claim that was gone for so short that the node did not notice');
  await seen.stop();
});

t.test('a member that is lost is told once; it comes back as a reset with rows', async (t) => {
  const w = await world(2);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  await w.writeAll(cidOf(1), {});
  b.tracker.set(cidOf(1), 'pinning');
  const seen = open(w, a);
  await w.until(() => seen.caughtUp === 1);
  w.lose(b.peerId);
  await w.until(() => count(seen.events, 'peer-lost') === 1);
  b.tracker.set(cidOf(1), 'pinned');
  await w.time.advance(40_000);
  t.equal(count(seen.events, 'peer-lost'), 1);
  t.match(
    seen.events.find((e) => e.kind === 'peer-lost'),
    { error: { peerId: b.peerId, peerName: 'peer-2', reason: 'PEER_UNREACHABLE' } },
  );
  w.heal(b.peerId);
  await w.until(() => statusOf(seen, b, cidOf(1)) === 'pinned');
  t.equal(count(seen.events, 'reset'), 1);
  const late = open(w, a);
  w.hanging.add(b.peerId);
  w.lose(b.peerId);
  w.heal(a.peerId);
  await w.until(() => late.caughtUp === 1);
  t.pass('who cannot be reached does not keep a watch from being caught up');
  await Promise.all([seen.stop(), late.stop()]);
});

t.test('members come and go', async (t) => {
  const w = await world(3);
  const [a, b, c] = w.peers as [WorldPeer, WorldPeer, WorldPeer];
  const [third] = w.members.splice(2, 1);
  await w.writeAll(cidOf(1), {});
  c.tracker.set(cidOf(1), 'pinned');
  const seen = open(w, a);
  await w.until(() => seen.caughtUp === 1);
  t.equal(statusOf(seen, c, cidOf(1)), undefined);
  w.members.push(third as (typeof w.members)[number]);
  w.changed(c.peerId);
  await w.until(() => statusOf(seen, c, cidOf(1)) === 'pinned');
  w.members.splice(1, 1);
  w.changed(b.peerId);
  await w.until(() => count(seen.events, 'peer-lost') === 1);
  t.match(
    seen.events.find((e) => e.kind === 'peer-lost'),
    { error: { peerId: b.peerId, reason: 'PEER_NOT_FOUND' } },
  );
  t.equal(w.openCalls(b.peerId), 0);
  await seen.stop();
});

t.test('a member that comes to a resumed watch is told of from the start, whatever the token says of it', async (t) => {
  const w = await world(2);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  await w.writeAll(cidOf(1), {});
  b.tracker.set(cidOf(1), 'pinned');
  const first = open(w, a);
  await w.until(() => statusOf(first, b, cidOf(1)) === 'pinned');
  await w.time.advance(5_000);
  await first.stop();
  const resumeToken = first.tokens.at(-1) as Uint8Array;
  t.ok(decodeResumeToken(resumeToken).peers.has(b.peerId), 'the test is about this');
  for (const changesOnly of [false, true]) {
    const seen = open(w, a, { resumeToken, changesOnly });
    await w.until(() => seen.caughtUp === 1);
    const [member] = w.members.splice(1, 1);
    w.changed(b.peerId);
    await w.until(() => count(seen.events, 'peer-lost') === 1);
    w.members.push(member as (typeof w.members)[number]);
    w.changed(b.peerId);
    await w.until(() => statusOf(seen, b, cidOf(1)) === 'pinned');
    await seen.stop();
  }
});

t.test('a resumed watch goes on exactly where it was', async (t) => {
  const w = await world(2);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  await w.writeAll(cidOf(1), {});
  await w.writeAll(cidOf(2), {});
  b.tracker.set(cidOf(1), 'pinned');
  const first = open(w, a);
  await w.until(() => first.tokens.length > 0 && first.caughtUp === 1);
  await w.time.advance(2_000);
  await first.stop();
  const token = first.tokens.at(-1) as Uint8Array;
  await w.writeAll(cidOf(3), { name: 'three' });
  await a.remove(cidOf(1));
  b.tracker.set(cidOf(2), 'pinned');
  const next = open(w, a, { resumeToken: token });
  await w.until(() => statusOf(next, b, cidOf(2)) === 'pinned' && next.caughtUp === 1);
  t.same([...next.pins.values()], ['three'], 'what was told is not told again');
  t.equal(count(next.events, 'unpinned'), 1);
  t.equal(count(next.events, 'reset'), 0);
  await next.stop();

  b.tracker.forget();
  b.tracker.set(cidOf(3), 'pinned');
  const reset = open(w, a, { resumeToken: token });
  await w.until(() => statusOf(reset, b, cidOf(3)) === 'pinned');
  await w.time.advance(2_000);
  t.equal(count(reset.events, 'reset'), 1, 'a member whose feed is gone begins anew');
  await reset.stop();

  const later = reset.tokens.at(-1) as Uint8Array;
  const calm = open(w, a, { resumeToken: later });
  await w.until(() => calm.caughtUp === 1);
  await w.time.advance(2_000);
  t.equal(count(calm.events, 'reset') + count(calm.events, 'status'), 0, 'nothing has changed');
  await calm.stop();
  b.tracker.putBack();
  const putBack = open(w, a, { resumeToken: later });
  await w.until(() => statusOf(putBack, b, cidOf(3)) === 'pinned');
  t.equal(count(putBack.events, 'reset'), 1, 'its numbers stand for other changes now: it begins anew');
  await putBack.stop();

  const pinsOnly = open(w, a, { resumeToken: token, pinsOnly: true });
  await w.until(() => pinsOnly.caughtUp === 1 && pinsOnly.pins.size === 1);
  t.equal(count(pinsOnly.events, 'status'), 0);
  await pinsOnly.stop();
});

t.test('a resumed watch asks for what changes no status', async (t) => {
  const w = await world(2);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  await w.writeAll(cidOf(1), {});
  b.tracker.set(cidOf(1), 'pinned');
  const first = open(w, a, {}, { ...noPositions, flushedPosition: () => Buffer.from('then') });
  await w.until(() => statusOf(first, b, cidOf(1)) === 'pinned');
  await a.remove(cidOf(1));
  await w.until(() => first.pins.size === 0);
  await w.time.advance(5_000);
  await first.stop();
  const resumeToken = first.tokens.at(-1) as Uint8Array;
  // Before the node has let go of it: its row stays as it is.
  await a.write(cidOf(1), {});
  const here = open(w, a, { resumeToken });
  await w.until(() => statusOf(here, b, cidOf(1)) === 'pinned');
  await here.stop();
  const keys = [pinKey(cidOf(1), 'default')];
  const there = open(w, b, { resumeToken }, { ...noPositions, changedSince: () => keys });
  await w.until(() => statusOf(there, b, cidOf(1)) === 'pinned');
  await there.stop();
  t.same([here.pins.size, there.pins.size], [1, 1]);
});

t.test('nothing is told, and no token names, what is not on the disk', async (t) => {
  const w = await world(1, 'manual');
  const [a] = w.peers as [WorldPeer];
  a.storage.control.flush();
  const seen = open(w, a);
  await w.until(() => seen.tokens.length === 1);
  const before = a.pinset.feed.revision;
  await a.write(cidOf(1), { name: 'unflushed' });
  a.storage.control.commit();
  const later = open(w, a);
  await w.time.advance(10_000);
  t.equal(a.pinset.count(), 1, 'it can be read');
  t.equal(seen.pins.size, 0, 'and would be told to nobody again if it were lost with power');
  t.equal(later.pins.size, 0, 'whether it changed or was there at the beginning');
  t.equal(seen.tokens.length, 1);
  a.storage.control.flush();
  await w.until(() => seen.pins.size === 1 && later.pins.size === 1);
  await later.stop();
  await w.until(() => seen.tokens.length === 2);
  t.equal(decodeResumeToken(seen.tokens[1] as Uint8Array).revision, before + 1);
  await seen.stop();
});

t.test('resumed at another peer: the keys that may differ, or the reason why not', async (t) => {
  const w = await world(2);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  await w.writeAll(cidOf(1), {});
  const first = open(w, a, {}, { ...noPositions, flushedPosition: (revision) => Buffer.from(`p${revision}`) });
  await w.until(() => first.tokens.length > 0);
  await first.stop();
  const token = first.tokens.at(-1) as Uint8Array;
  t.equal(Buffer.from(decodeResumeToken(token).position as Uint8Array).toString(), `p${a.pinset.feed.revision}`);
  await w.writeAll(cidOf(2), { name: 'two' });
  await w.writeAll(cidOf(3), { name: 'three' });
  await b.remove(cidOf(1));
  const keys = [cidOf(1), cidOf(2)].map((cid) => pinKey(cid, 'default'));
  let answers: (Uint8Array[] | 'ahead' | 'gone')[] = ['ahead', 'ahead', keys];
  const asked: Position[] = [];
  const there: Positions = {
    ...noPositions,
    changedSince: (position) => {
      asked.push(position);
      return (answers.length > 1 ? answers.shift() : answers[0]) as Uint8Array[] | 'ahead' | 'gone';
    },
  };
  const next = open(w, b, { resumeToken: token }, there);
  await w.until(() => next.caughtUp === 1);
  t.same([...next.pins.values()], ['two']);
  t.equal(count(next.events, 'unpinned'), 1);
  t.equal(Buffer.from(asked[0] as Uint8Array).toString(), `p${a.pinset.feed.revision - 2}`);
  await w.writeAll(cidOf(4), { name: 'four' });
  await w.until(() => [...next.pins.values()].includes('four'));
  await next.stop();

  answers = ['gone'];
  const gone = open(w, b, { resumeToken: token }, there);
  await w.until(() => gone.ended);
  t.match(gone.error, { code: 'HISTORY_GONE' });
  answers = ['ahead'];
  const ahead = open(w, b, { resumeToken: token }, there);
  await w.until(() => ahead.ended);
  t.match(ahead.error, { code: 'PEER_UNREACHABLE' });
  const bound = encodeResumeToken({ ...decodeResumeToken(token), position: undefined });
  const noPosition = open(w, b, { resumeToken: bound }, there);
  await w.until(() => noPosition.ended);
  t.match(noPosition.error, { code: 'HISTORY_GONE' });
});

t.test('damaged tokens are refused', async (t) => {
  const w = await world(1);
  const [a] = w.peers as [WorldPeer];
  const place = {
    peerId: a.peerId,
    storeIncarnation: Buffer.from('s'),
    revision: 5,
    position: Buffer.from('position'),
    asked: [pinKey(cidOf(1), 'default')],
    peers: new Map([[a.peerId, { incarnation: Buffer.from('i'), revision: 7, mark: Buffer.from('m') }]]),
  };
  const token = encodeResumeToken(place);
  t.match(decodeResumeToken(token), {
    peerId: a.peerId,
    revision: 5,
    peers: new Map([[a.peerId, { revision: 7, mark: Buffer.from('m') }]]),
  });
  for (let i = 0; i < token.length; i++) {
    const damaged = Uint8Array.from(token, (byte, at) => (at === i ? byte ^ 16 : byte));
    t.throws(() => decodeResumeToken(damaged), { code: 'INVALID_TOKEN' });
    t.throws(() => decodeResumeToken(token.subarray(0, i)), { code: 'INVALID_TOKEN' });
  }
  const seen = open(w, a, { resumeToken: Buffer.from('nonsense') });
  await w.until(() => seen.ended);
  t.match(seen.error, { code: 'INVALID_TOKEN' });
});

t.test('a reader that stops reading holds back its sources, and is told after a minute', async (t) => {
  const w = await world(2);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  const slow = open(w, a);
  const quick = open(w, a);
  await w.until(() => slow.tokens.length > 0 && quick.caughtUp === 1);
  const told = slow.tokens.at(-1) as Uint8Array;
  slow.paused = true;
  await w.time.advance(20_000);
  for (let i = 0; i < 20 * WATCH_READ_MAX; i++) await a.write(cidOf(i), {});
  await w.until(() => quick.pins.size === 20 * WATCH_READ_MAX);
  t.notOk(slow.ended, 'others go on');
  await w.time.advance(70_000);
  slow.paused = false;
  await new Promise((resolve) => setTimeout(resolve, 20));
  await w.until(() => slow.ended);
  t.match(slow.error, { code: 'SLOW_READER' });
  t.ok(slow.pins.size < 1_000);
  const named = Buffer.from(
    (slow.error as { details: { facts: { resumeToken: string } } }).details.facts.resumeToken,
    'base64',
  );
  t.same(Uint8Array.from(named), told);
  const resumed = open(w, a, { resumeToken: named });
  await w.until(() => resumed.pins.size === 20 * WATCH_READ_MAX);
  await Promise.all([quick.stop(), resumed.stop()]);
  t.equal(w.openCalls(b.peerId), 0);
});

t.test('whatever happens, a client that applies the events ends with the truth', async (t) => {
  for (const seed of [1, 2, 3, 4, 137]) {
    const w = await world(3);
    const random = seededRandom(seed);
    const pick = (n: number) => Math.floor(random.float() * n);
    const [a] = w.peers as [WorldPeer, WorldPeer, WorldPeer];
    const change = async () => {
      const cid = cidOf(pick(12));
      const namespace = ['one', 'two'][pick(2)] as string;
      const peer = w.peers[pick(3)] as WorldPeer;
      switch (pick(10)) {
        case 0:
        case 1:
        case 2: {
          const allocations = w.ids.filter(() => pick(2) === 0);
          const late = w.peers.slice(1);
          for (const other of late) await other.write(cid, { namespace, name: `${pick(9)}`, allocations });
          if (pick(2) === 0) await w.time.advance(pick(300));
          await a.write(cid, { namespace, name: `${pick(9)}`, allocations });
          break;
        }
        case 3:
          for (const each of w.peers) await each.remove(cid, namespace);
          break;
        case 4:
          peer.tracker.set(cid, undefined);
          break;
        case 5:
          if (peer !== a) w.lose(peer.peerId);
          break;
        case 6:
          for (const each of w.peers) w.heal(each.peerId);
          break;
        case 7:
          if (pick(3) === 0) peer.tracker.forget();
          break;
        default:
          peer.tracker.set(cid, (['pinning', 'pinned', 'pin_error'] as const)[pick(3)] as 'pinned');
      }
      if (pick(2) === 0) await w.time.advance(pick(400));
    };
    for (let i = 0; i < 30; i++) await change();
    const shared = watchAt(a, w);
    const call = callContext();
    const filters: Partial<WatchQuery>[] = [
      {},
      { filter: { namespaces: ['one'] } },
      { filter: { cids: [cidOf(1), cidOf(2), cidOf(3)] } },
    ];
    const watchers = filters.map((query) => ({
      query,
      seen: client(shared({ ...everything, ...query }, call), call).get(),
    }));
    for (let i = 0; i < 150; i++) await change();
    // A client that is cut off and goes on from its last token.
    const last = watchers[0]?.seen.tokens.at(-1);
    for (const each of w.peers) w.heal(each.peerId);
    await w.time.advance(60_000);
    for (const { query, seen } of watchers) {
      t.equal(seen.error, undefined);
      t.same(told(seen), truth(w, a, query), `seed ${seed}`);
    }
    if (last !== undefined) {
      const resumed = client(shared({ ...everything, resumeToken: last }, call), call).get();
      await w.time.advance(10_000);
      const all = truth(w, a, {});
      for (const [key, status] of Object.entries(told(resumed))) t.equal(status, all[key], 'resumed');
    }
    call.abort(new Error('enough'));
    await Promise.all(watchers.map(({ seen }) => seen.done));
  }
});

/** Pins with names, and what is told of each pin on each member. */
function told(seen: { pins: Map<string, string>; statuses: Map<string, string> }): Record<string, string> {
  const statuses = [...seen.statuses].filter(([, status]) => status !== 'remote' && status !== 'pin_queued');
  return Object.fromEntries([...seen.pins, ...statuses].sort(([x], [y]) => (x < y ? -1 : 1)));
}

function truth(w: World, { pinset }: WorldPeer, { filter = {} }: Partial<WatchQuery>): Record<string, string> {
  const entries: [string, string][] = [];
  for (const { key, pin } of pinset.list({ filter, order: 'key', limit: 1000 }).pins) {
    entries.push([byteString(key), pin.name]);
    for (const { peerId, tracker } of w.peers) {
      const status = tracker.tracker.statuses([pin.cid])[0]?.status as string;
      if (isAllocatedTo(pin, peerId) && !['pin_queued', 'unpinned', 'remote'].includes(status)) {
        entries.push([`${peerId} ${byteString(key)}`, status]);
      }
    }
  }
  return Object.fromEntries(entries.sort(([x], [y]) => (x < y ? -1 : 1)));
}

import t from 'tap';
import { clusterStatus, type PinStatus, type StatusPiece, type StatusQuery } from '../../../src/cluster/status.ts';
import { compareBytes } from '../../../src/model/bytes.ts';
import { isPinfoldError } from '../../../src/model/errors.ts';
import { pinKey, pinKeyPrefix } from '../../../src/model/pin-key.ts';
import { callContext, cidOf, type WorldPeer, world } from './world.ts';

const all: StatusQuery = { filter: {}, statuses: [], peerIds: [], pageSize: 0, cursor: undefined };
const one = (cid: Uint8Array, namespace = 'default') => ({ cid, namespace, peerIds: [] });
type World = Awaited<ReturnType<typeof world>>;

function statusAt({ peerId, pinset, tracker, monitor, rpc }: WorldPeer, { time }: World) {
  return clusterStatus({ peerId, pinset, tracker: tracker.tracker, monitor, rpc, ...time });
}

/** Lets virtual time run while the work is under way. */
async function run<T>({ time }: World, work: Promise<T>): Promise<T> {
  let done = false;
  const watched = work.finally(() => {
    done = true;
  });
  watched.catch(() => {});
  for (let i = 0; i < 3000 && !done; i++) await time.advance(10);
  return watched;
}

async function collect(pieces: AsyncIterable<Partial<StatusPiece>>) {
  const result = {
    statuses: [] as PinStatus[],
    errors: [] as StatusPiece['errors'],
    cursor: undefined as Uint8Array | undefined,
  };
  for await (const { statuses = [], errors = [], cursor } of pieces) {
    result.statuses.push(...statuses);
    result.errors.push(...errors);
    result.cursor = cursor;
  }
  return result;
}

const words = (status: PinStatus | undefined) => status?.peers.map((peer) => `${peer.peerName} ${peer.status}`);

t.test('one pin: each peer says its own, others are remote, an unreachable one is cluster_error', async (t) => {
  const w = await world(4);
  const [a, b, c] = w.peers as [WorldPeer, WorldPeer, WorldPeer];
  await w.writeAll(cidOf(1), { name: 'one', allocations: [a.peerId, b.peerId, c.peerId] });
  a.tracker.set(cidOf(1), 'pinned');
  b.tracker.set(cidOf(1), 'pin_error', {
    attempts: 3,
    errorClass: 'no_provider',
    error: 'nobody has it',
    retryAtMs: 77,
  });
  const status = statusAt(a, w);
  const found = await run(w, status.pinStatus(one(cidOf(1)), callContext()));
  t.same(words(found), ['peer-1 pinned', 'peer-2 pin_error', 'peer-3 pin_queued', 'peer-4 remote']);
  t.match(found.peers[1], {
    attempts: 3,
    errorClass: 'no_provider',
    error: 'nobody has it',
    retryAtMs: 77,
    sinceMs: 1,
  });
  t.equal(found.name, 'one');
  w.lose(b.peerId);
  const again = await run(w, status.pinStatus(one(cidOf(1)), callContext()));
  t.same(words(again), ['peer-1 pinned', 'peer-2 cluster_error', 'peer-3 pin_queued', 'peer-4 remote']);
  w.hanging.add(c.peerId);
  const hung = await run(w, status.pinStatus(one(cidOf(1)), callContext()));
  t.equal(words(hung)?.[2], 'peer-3 cluster_error', 'one that hangs is not waited for for ever');
});

t.test('an allocation that is no member any more stands there with an error', async (t) => {
  const w = await world(2);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  await a.write(cidOf(1), { allocations: [b.peerId] });
  w.members.splice(1, 1);
  w.lose(b.peerId);
  const found = await run(w, statusAt(a, w).pinStatus(one(cidOf(1)), callContext()));
  t.same(
    found.peers.map((p) => [p.peerId, p.status]),
    [
      [a.peerId, 'remote'],
      [b.peerId, 'cluster_error'],
    ],
  );
});

t.test('a CID that nobody claims: what is left of it, else not found', async (t) => {
  const w = await world(2);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  const status = statusAt(a, w);
  await t.rejects(run(w, status.pinStatus(one(cidOf(1)), callContext())), { code: 'PIN_NOT_FOUND' });
  b.tracker.set(cidOf(1), 'unpinning');
  const left = await run(w, status.pinStatus(one(cidOf(1)), callContext()));
  t.same(words(left), ['peer-2 unpinning']);
  await a.write(cidOf(1), { namespace: 'other' });
  await t.rejects(run(w, status.pinStatus(one(cidOf(1)), callContext())), { code: 'PIN_NOT_FOUND' });
  await t.rejects(run(w, status.pinStatus(one(cidOf(1), 'other'), callContext({ namespaces: ['mine'] }))), {
    code: 'PERMISSION_DENIED',
  });
});

t.test('a listing walks all pages; a lost peer is one error, and its word is left out', async (t) => {
  const w = await world(3);
  const [a, b, c] = w.peers as [WorldPeer, WorldPeer, WorldPeer];
  for (let i = 0; i < 2_500; i++) {
    await a.write(cidOf(i), { allocations: [a.peerId, i % 2 === 0 ? b.peerId : c.peerId] });
    (i % 2 === 0 ? b : c).tracker.set(cidOf(i), 'pinned');
  }
  const listing = await run(w, collect(statusAt(a, w).listStatuses(all, callContext())));
  t.equal(listing.statuses.length, 2_500);
  t.same(listing.errors, []);
  t.ok(listing.statuses.every(({ peers }) => peers.length === 3 && peers.some((p) => p.status === 'pinned')));
  const keys = listing.statuses.map(({ cid, namespace }) => pinKey(cid, namespace));
  t.ok(
    keys.every((key, i) => i === 0 || compareBytes(keys[i - 1] as Uint8Array, key) < 0),
    'in key order, each once',
  );
  w.lose(c.peerId);
  a.calls.clear();
  const partial = await run(w, collect(statusAt(a, w).listStatuses(all, callContext())));
  t.equal(partial.statuses.length, 2_500);
  t.match(partial.errors, [{ peerId: c.peerId, peerName: 'peer-3', reason: 'PEER_UNREACHABLE' }]);
  t.equal(partial.errors.length, 1);
  t.notOk(partial.statuses.some(({ peers }) => peers.some((p) => p.status === 'cluster_error')));
  t.equal(
    a.calls.get('getStatuses'),
    3 + 2,
    'the lost one is asked for the page and the next, which is asked for at once',
  );
});

t.test('a listing by a common status, of some peers, and page by page', async (t) => {
  const w = await world(2);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  for (let i = 0; i < 100; i++) {
    await a.write(cidOf(i), { name: i % 2 === 0 ? 'even' : 'odd' });
    if (i % 4 === 0) a.tracker.set(cidOf(i), 'pinned');
    if (i % 5 === 0) b.tracker.set(cidOf(i), 'pinned');
  }
  const status = statusAt(a, w);
  const list = (query: Partial<StatusQuery>) =>
    run(w, collect(status.listStatuses({ ...all, ...query }, callContext())));
  t.equal((await list({ statuses: ['pinned'] })).statuses.length, 40);
  t.equal((await list({ statuses: ['pinned'], filter: { nameEquals: 'odd' } })).statuses.length, 10);
  const ofB = await list({ statuses: ['pinned'], peerIds: [b.peerId] });
  t.equal(ofB.statuses.length, 20);
  t.ok(ofB.statuses.every(({ peers }) => peers.length === 1 && peers[0]?.peerName === 'peer-2'));
  const paged: PinStatus[] = [];
  let cursor: Uint8Array | undefined;
  do {
    const page = await list({ statuses: ['pinned'], pageSize: 7, cursor });
    t.ok(page.statuses.length <= 7);
    paged.push(...page.statuses);
    cursor = page.cursor;
  } while (cursor !== undefined);
  t.equal(new Set(paged.map(({ cid }) => Buffer.from(cid).toString('hex'))).size, 40);
  const { cursor: other } = await list({ statuses: ['pinned'], pageSize: 7 });
  await t.rejects(list({ statuses: ['remote'], cursor: other }), { code: 'INVALID_CURSOR' });
  await t.rejects(list({ statuses: ['pinned'], cursor: Buffer.from('nonsense nonsense') }), { code: 'INVALID_CURSOR' });
});

t.test('rare statuses come from the merged indexes, joined with the claims', async (t) => {
  const w = await world(3);
  const [a, b, c] = w.peers as [WorldPeer, WorldPeer, WorldPeer];
  for (let i = 0; i < 1_500; i++) {
    await a.write(cidOf(i), {});
    if (i % 3 === 0) a.tracker.set(cidOf(i), 'pin_error');
    if (i % 5 === 0) b.tracker.set(cidOf(i), 'pin_error');
    if (i % 7 === 0) c.tracker.set(cidOf(i), 'pinning');
  }
  await a.write(cidOf(3), { namespace: 'second' });
  c.tracker.set(cidOf(2_000), 'unpin_error');
  const status = statusAt(a, w);
  const list = (query: Partial<StatusQuery>, call = callContext()) =>
    run(w, collect(status.listStatuses({ ...all, ...query }, call)));
  const failed = await list({ statuses: ['pin_error'] });
  const expected = Array.from({ length: 1_500 }, (_, i) => i).filter((i) => i % 3 === 0 || i % 5 === 0).length;
  t.equal(failed.statuses.length, expected + 1);
  const keys = failed.statuses.map(({ cid }) => pinKeyPrefix(cid));
  t.ok(
    keys.every((key, i) => i === 0 || compareBytes(keys[i - 1] as Uint8Array, key) <= 0),
    'in key order',
  );
  t.equal((await list({ statuses: ['pin_error', 'pinning'], peerIds: [c.peerId] })).statuses.length, 215);
  t.equal((await list({ statuses: ['pin_error'], filter: { namespaces: ['second'] } })).statuses.length, 1);

  const unclaimed = await list({ statuses: ['unpin_error'] });
  t.match(unclaimed.statuses, [{ namespace: '', peers: [{ peerId: c.peerId, status: 'unpin_error' }] }]);
  t.same((await list({ statuses: ['unpin_error'] }, callContext({ namespaces: ['default'] }))).statuses, []);

  const paged: PinStatus[] = [];
  let cursor: Uint8Array | undefined;
  do {
    const page = await list({ statuses: ['pin_error'], pageSize: 97, cursor });
    paged.push(...page.statuses);
    cursor = page.cursor;
  } while (cursor !== undefined);
  const names = paged.map(({ cid, namespace }) => `${Buffer.from(cid).toString('hex')} ${namespace}`);
  t.equal(new Set(names).size, expected + 1);
  t.equal(names.length, expected + 1, 'claims of one wish are cut between pages without loss');

  w.lose(b.peerId);
  const partial = await list({ statuses: ['pin_error'] });
  t.equal(partial.errors.length, 1);
  t.equal(partial.statuses.length, 500 + 1);
  w.heal(b.peerId);
  w.hanging.add(b.peerId);
  t.equal((await list({ statuses: ['pin_error'] })).errors.length, 1, 'one that hangs is left out');
});

t.test('a page of errors is one question to each peer for what it has, and no other where all have it', async (t) => {
  const w = await world(3);
  const [a, b, c] = w.peers as [WorldPeer, WorldPeer, WorldPeer];
  for (let i = 0; i < 300; i++) {
    await a.write(cidOf(i), { namespace: i % 2 === 0 ? 'even' : 'default' });
    for (const { tracker } of w.peers) tracker.set(cidOf(i), 'pin_error', { error: 'nobody has it' });
  }
  const status = statusAt(a, w);
  const page = (query: Partial<StatusQuery>) =>
    run(w, collect(status.listStatuses({ ...all, statuses: ['pin_error'], pageSize: 100, ...query }, callContext())));
  const rowsSent = () => a.rowsReceived.get('listStatuses');
  const first = await page({});
  t.equal(first.statuses.length, 100);
  t.ok(first.statuses.every(({ peers }) => peers.length === 3 && peers.every((p) => p.error === 'nobody has it')));
  t.same([...a.calls], [['listStatuses', 2]]);
  t.equal(rowsSent(), 2 * 100, 'no more than the page');

  a.calls.clear();
  const even = await page({ filter: { namespaces: ['even'] } });
  t.equal(even.statuses.length, 100);
  t.same([...a.calls], [['listStatuses', 4]], 'where the filter leaves too few, the rest is asked for');

  a.calls.clear();
  b.tracker.set(even.statuses[0]?.cid as Uint8Array, 'pinned');
  c.tracker.set(even.statuses[0]?.cid as Uint8Array, 'pinned');
  t.same(words((await page({})).statuses.find(({ cid }) => compareBytes(cid, even.statuses[0]?.cid ?? cid) === 0)), [
    'peer-1 pin_error',
    'peer-2 pinned',
    'peer-3 pinned',
  ]);
  t.equal(a.calls.get('getStatuses'), 2, 'only what is missing');
});

t.test('a damaged row of the pinset keeps no other pin from a listing, and is told of once', async (t) => {
  const w = await world(2);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  for (let i = 0; i < 1_100; i++) {
    await a.write(cidOf(i), {});
    b.tracker.set(cidOf(i), 'pin_error');
  }
  for (const i of [3, 700]) {
    await a.storage.transaction((tx) => tx.put('pins_a', pinKey(cidOf(i), 'default'), Buffer.of(0xff, 1, 2))).flushed;
  }
  for (const query of [all, { ...all, statuses: ['pin_error'] as const }]) {
    const listing = await run(w, collect(statusAt(a, w).listStatuses(query, callContext())));
    t.equal(listing.statuses.length, 1_100 - 2);
    t.ok(listing.statuses.every(({ peers }) => peers.some(({ status }) => status === 'pin_error')));
    t.match(listing.errors, [
      { peerId: a.peerId, reason: 'DATA_CORRUPT', message: /the row of the pin .* is damaged/ },
    ]);
    t.equal(listing.errors.length, 1);
  }
});

t.test('a peer that sends rows out of order, or too many, is left out', async (t) => {
  const w = await world(2);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  for (let i = 0; i < 10; i++) b.tracker.set(cidOf(i), 'pin_error');
  const sound = b.tracker.tracker.listIndexed;
  b.tracker.tracker.listIndexed = (...args) => sound(...args).reverse();
  const listing = await run(
    w,
    collect(statusAt(a, w).listStatuses({ ...all, statuses: ['pin_error'] }, callContext())),
  );
  t.match(listing.errors, [{ peerId: b.peerId, reason: 'INTERNAL' }]);

  b.tracker.tracker.listIndexed = sound;
  const { call } = a.rpc;
  // As if the callee had not read how many are wanted.
  a.rpc.call = (to, method, requests, options) => {
    for (const request of requests as Iterable<{ rowsMax?: number }>) request.rowsMax = 0;
    return call(to, method, requests, options);
  };
  const page = { ...all, statuses: ['pin_error'] as const, pageSize: 5 };
  const tooMany = await run(w, collect(statusAt(a, w).listStatuses(page, callContext())));
  t.match(tooMany.errors, [{ peerId: b.peerId, message: /more rows/ }]);
});

t.test('recover reaches all members, shows the claims, and touches nothing of others', async (t) => {
  const w = await world(2);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  await a.write(cidOf(1), { namespace: 'mine' });
  await a.write(cidOf(2), {});
  for (const peer of [a, b]) for (const i of [1, 2]) peer.tracker.set(cidOf(i), 'pin_error');
  const status = statusAt(a, w);
  const recover = (cids: Uint8Array[], call = callContext()) =>
    run(w, collect(status.recover({ cids, namespace: undefined }, call)));
  t.same((await recover([])).statuses.flatMap(words).sort(), [
    'peer-1 pin_queued',
    'peer-1 pin_queued',
    'peer-2 pin_queued',
    'peer-2 pin_queued',
  ]);
  const mine = callContext({ namespaces: ['mine'] });
  t.same(
    (await recover([cidOf(1), cidOf(2)], mine)).statuses.map(({ namespace }) => namespace),
    ['mine', 'mine'],
  );
  await t.rejects(recover([], mine), { code: 'PERMISSION_DENIED' });
  w.lose(b.peerId);
  t.match((await recover([cidOf(2)])).errors, [{ peerId: b.peerId }]);
});

t.test('a damaged row keeps no other pin from being tried again', async (t) => {
  const w = await world(1);
  const [a] = w.peers as [WorldPeer];
  for (const i of [1, 2, 3]) {
    await a.write(cidOf(i), {});
    a.tracker.set(cidOf(i), 'pin_error');
  }
  await a.storage.transaction((tx) => tx.put('pins_a', pinKey(cidOf(2), 'default'), Buffer.of(0xff, 1, 2))).flushed;
  const recovered = await run(w, collect(statusAt(a, w).recover({ cids: [], namespace: undefined }, callContext())));
  t.equal(recovered.statuses.length, 2);
  t.same(recovered.errors, []);
});

t.test('a call that is aborted ends with its reason', async (t) => {
  const w = await world(2);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  await a.write(cidOf(1), {});
  w.hanging.add(b.peerId);
  const call = callContext();
  const asked = statusAt(a, w).pinStatus(one(cidOf(1), 'default'), call);
  const reason = new Error('gone');
  call.abort(reason);
  await t.rejects(asked, reason);
  t.notOk(isPinfoldError(reason));
});

t.test('since when: what has failed for a while, of rare and of common statuses', async (t) => {
  const w = await world(2);
  const [a, b] = w.peers as [WorldPeer, WorldPeer];
  for (let i = 0; i < 60; i++) {
    await w.writeAll(cidOf(i), { createdMs: 1_000 + i });
    a.tracker.set(cidOf(i), i % 2 === 0 ? 'pin_error' : 'pinned', { sinceMs: 1_000 * i + 1 });
  }
  const status = statusAt(a, w);
  const list = (query: Partial<StatusQuery>) =>
    run(w, collect(status.listStatuses({ ...all, ...query }, callContext())));
  const statuses = ['pin_error'] as const;
  t.equal((await list({ statuses, sinceBeforeMs: 10_001 })).statuses.length, 5, 'exclusive');
  t.equal((await list({ statuses, sinceAfterMs: 10_001 })).statuses.length, 24);
  t.equal((await list({ statuses, sinceAfterMs: 10_000, sinceBeforeMs: 20_000 })).statuses.length, 5);
  t.equal((await list({ statuses: ['pinned'], sinceBeforeMs: 10_001 })).statuses.length, 5);
  t.equal((await list({ sinceBeforeMs: 10_001 })).statuses.length, 10, 'whatever the status; not what has no time');
  t.same((await list({ statuses, sinceBeforeMs: 10_001, peerIds: [b.peerId] })).statuses, []);
  t.equal((await list({ statuses, filter: { createdBeforeMs: 1_010 } })).statuses.length, 5, 'age of the pin');
  const cursor = (await list({ statuses, sinceBeforeMs: 10_001, pageSize: 2 })).cursor;
  t.equal((await list({ statuses, sinceBeforeMs: 10_001, pageSize: 5, cursor })).statuses.length, 3);
  await t.rejects(list({ statuses, sinceBeforeMs: 10_002, cursor }), { code: 'INVALID_CURSOR' });
  const fromB = await run(
    w,
    collect(statusAt(b, w).listStatuses({ ...all, statuses, sinceBeforeMs: 10_001 }, callContext())),
  );
  t.equal(fromB.statuses.length, 5, 'asked of another peer');
});

t.test('a peer that hangs is told of before the deadline of the caller', async (t) => {
  const w = await world(3);
  const [a, b, c] = w.peers as [WorldPeer, WorldPeer, WorldPeer];
  await w.writeAll(cidOf(1), {});
  b.tracker.set(cidOf(1), 'pin_error');
  w.hanging.add(c.peerId);
  const status = statusAt(a, w);
  const within = (ms: number) => callContext({ deadlineMs: w.time.clock.nowMs() + ms });
  const inTime = async <T>(ms: number, work: (call: ReturnType<typeof callContext>) => Promise<T>) => {
    const call = within(ms);
    const done = await run(w, work(call));
    t.ok(w.time.clock.nowMs() < (call.deadlineMs as number), 'answered before the deadline');
    return done;
  };
  const found = await inTime(500, (call) => status.pinStatus(one(cidOf(1)), call));
  t.same(words(found), ['peer-1 pin_queued', 'peer-2 pin_error', 'peer-3 cluster_error']);
  const rare = await inTime(500, (call) => collect(status.listStatuses({ ...all, statuses: ['pin_error'] }, call)));
  t.equal(rare.statuses.length, 1);
  t.match(rare.errors, [{ peerId: c.peerId, reason: 'DEADLINE' }]);
  const listed = await inTime(500, (call) => collect(status.listStatuses(all, call)));
  t.same(words(listed.statuses[0]), ['peer-1 pin_queued', 'peer-2 pin_error']);
  t.match(listed.errors, [{ peerId: c.peerId }]);
  const some = await inTime(500, (call) => status.pinStatus({ ...one(cidOf(1)), peerIds: [b.peerId] }, call));
  t.same(words(some), ['peer-2 pin_error'], 'who is not asked is not waited for');
});

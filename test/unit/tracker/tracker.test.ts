import t from 'tap';
import { equalBytes } from '../../../src/model/bytes.ts';
import { toV0 } from '../../../src/model/cid.ts';
import { pinKey } from '../../../src/model/pin-key.ts';
import { tableSets } from '../../../src/pinset/tables.ts';
import { cid } from '../../suites/pinset-world.ts';
import { other, self, TrackerWorld } from './tracker-world.ts';

const a = cid(0);
const b = cid(2);

t.test('a claim is pinned, told, and unpinned when it goes', async (t) => {
  const world = await TrackerWorld.open();
  await world.tracker.start();
  t.equal(world.status(a).status, 'unpinned');
  await world.pin([a]);
  t.equal(world.status(a).status, 'pin_queued', 'without a row');
  await world.until('pinned', () => world.status(a).status === 'pinned');
  t.equal(world.node.mode(a), 'recursive');
  t.match(world.tracker.counts(), { pinned: 1, pinning: 0, queued: 0, failed: 0 });
  t.equal(world.tracker.feed.revision, 1, 'an instant pin is one row write');
  await world.unpin([a]);
  t.equal(world.status(a).status, 'unpin_queued', 'before the tracker has seen it');
  await world.until('unpinned', () => world.status(a).status === 'unpinned');
  t.equal(world.node.mode(a), 'none');
  t.match(world.tracker.counts(), { pinned: 0, queued: 0 });
  const read = world.tracker.feed.read(0, 100);
  t.match(read, { revision: 2, rows: [{ status: 'unpinned' }] });
  await world.end();
});

t.test('claims of both CID versions and several namespaces are one wish', async (t) => {
  const world = await TrackerWorld.open();
  const v0 = toV0(a) as Uint8Array;
  await world.tracker.start();
  await world.pin([a], { mode: 'direct', origins: ['/o/1'] });
  await world.until('pinned', () => world.status(a).status === 'pinned');
  t.equal(world.node.mode(a), 'direct');
  await world.pin([v0], { namespace: 'n', origins: ['/o/2'] });
  t.equal(world.status(a).status, 'pin_queued', 'held directly is not pinned when it is to be recursive');
  t.strictSame(
    world.tracker.listAll(undefined, 10).map((s) => s.status),
    ['pin_queued'],
  );
  await world.until('pinned', () => world.node.mode(a) === 'recursive' && world.status(v0).status === 'pinned');
  t.strictSame([...(world.node.calls.at(-1)?.wish?.sources ?? [])].sort(), ['/o/1', '/o/2']);
  await world.unpin([v0], 'n');
  await world.until('direct again', () => world.node.mode(a) === 'direct');
  t.equal(world.node.attempts(a, 'unpin'), 0, 'a claim is left');
  await world.unpin([a]);
  await world.until('unpinned', () => world.node.mode(a) === 'none');
  await world.end();
});

t.test('what is allocated to others is remote, and left alone on the node', async (t) => {
  const world = await TrackerWorld.open();
  await world.tracker.start();
  await world.pin([a], { allocations: [other] });
  await world.pin([b], { allocations: [self, other] });
  await world.until('pinned', () => world.status(b).status === 'pinned');
  t.equal(world.status(a).status, 'remote');
  t.equal(world.node.attempts(a), 0);
  t.strictSame(world.node.calls[0]?.wish?.sources, [`/memory/${self}`, `/memory/${other}`]);
  await world.unpin([a]);
  await world.time.advance(1000);
  t.equal(world.node.attempts(a, 'unpin'), 0);
  await world.end();
});

t.test('what is replaced stays until the first attempt at what follows it has ended', async (t) => {
  for (const error of [undefined, 'NO_PROVIDER'] as const) {
    const world = await TrackerWorld.open();
    await world.tracker.start();
    await world.pin([a]);
    await world.until('pinned', () => world.status(a).status === 'pinned');
    world.node.answer = (kind) => (kind === 'pin' ? { afterMs: 500, ...(error && { error }) } : {});
    await Promise.all([world.unpin([a]), world.pin([b], { updatedFrom: toV0(a) as Uint8Array })]);
    await world.until('begun', () => world.node.attempts(b) === 1);
    t.ok(equalBytes(world.node.calls.at(-1)?.wish?.updates ?? b, a), 'told to the node, in version 1');
    await world.time.advance(300);
    t.equal(world.node.mode(a), 'recursive');
    t.equal(world.status(a).status, 'unpin_queued');
    await world.until('gone', () => world.status(a).status === 'unpinned');
    t.equal(world.status(b).status, error === undefined ? 'pinned' : 'pin_error');
    await world.end();
  }
});

t.test('unpinDelay: re-allocated away it stays for a minute, removed from the pinset it goes at once', async (t) => {
  const world = await TrackerWorld.open();
  await world.tracker.start();
  await world.pin([a, b], { allocations: [self] });
  await world.until('pinned', () => world.tracker.counts().pinned === 2);
  await world.pin([a, b], { allocations: [other] });
  await world.until('leaving', () => world.status(a).status === 'unpin_queued');
  await world.crash();
  await world.time.advance(50_000);
  t.equal(world.node.mode(a), 'recursive');
  await world.pin([b], { allocations: [self] });
  await world.until('back', () => world.status(b).status === 'pinned');
  t.equal(world.node.attempts(b), 1, 'it was held all the time');
  await world.until('gone', () => world.status(a).status === 'remote', 15_000);
  t.equal(world.node.mode(a), 'none');
  await world.pin([b], { allocations: [other] });
  await world.until('leaving', () => world.status(b).status === 'unpin_queued');
  await world.unpin([b]);
  await world.until('gone', () => world.node.mode(b) === 'none', 1000);
  await world.end();
});

t.test('failures are kept with their class and tried again ever more rarely', async (t) => {
  const world = await TrackerWorld.open();
  world.node.answer = () => ({ error: 'NO_PROVIDER' });
  await world.tracker.start();
  await world.pin([a]);
  await world.until('failed', () => world.status(a).status === 'pin_error');
  t.match(world.status(a), { attempts: 1, errorClass: 'no_provider', error: 'scripted NO_PROVIDER' });
  const first = world.status(a).retryAtMs - world.time.clock.nowMs();
  t.ok(first > 20_000 && first < 40_000, 'about the base');
  await world.time.advance(15_000);
  t.equal(world.node.attempts(a), 1);
  await world.crash();
  world.node.answer = () => ({ error: 'DISK_FULL' });
  await world.until('again', () => world.status(a).attempts === 2, 40_000);
  t.equal(world.status(a).errorClass, 'disk_full');
  t.ok(world.status(a).retryAtMs - world.time.clock.nowMs() > 40_000, 'twice as long');
  t.strictSame(
    world.tracker.listIndexed(['pin_error', 'pinning'], undefined, 10).map((s) => s.cid),
    [Uint8Array.from(a)],
  );
  t.match(world.tracker.counts(), { failed: 1, queued: 0, pinned: 0 });
  world.node.answer = () => ({});
  await world.until('pinned', () => world.status(a).status === 'pinned', 120_000);
  t.match(world.status(a), { attempts: 0, error: '', retryAtMs: 0 });
  t.strictSame(world.tracker.listIndexed(['pin_error'], undefined, 10), []);
  await world.end();
});

t.test('recover tries at once, and names what it queued', async (t) => {
  const world = await TrackerWorld.open();
  const cids = Array.from({ length: 600 }, (_, i) => cid(2 * i));
  world.node.answer = () => ({ error: 'FAILED' });
  await world.tracker.start();
  await world.pin(cids);
  await world.until('failed', () => world.tracker.counts().failed === 600);
  world.node.answer = () => ({});
  const queued: string[] = [];
  const recovering = (async () => {
    for await (const piece of world.tracker.recover(undefined, { signal: new AbortController().signal })) {
      queued.push(...piece.map(({ status }) => status));
    }
  })();
  await world.until('pinned', () => world.tracker.counts().pinned === 600, 3000);
  await recovering;
  t.strictSame(queued, Array(600).fill('pin_queued'));
  await world.end();
});

t.test('a node that is down costs no attempts; all goes on when it is back', async (t) => {
  const world = await TrackerWorld.open();
  world.node.isDown = true;
  const cids = Array.from({ length: 50 }, (_, i) => cid(2 * i));
  await world.tracker.start();
  await world.pin(cids);
  await world.time.advance(20_000);
  const said = world.tracker.statuses(cids);
  t.ok(said.every(({ status, attempts }) => status === 'pin_queued' && attempts === 0));
  t.ok(said.some(({ errorClass }) => errorClass === 'node_unreachable'));
  t.ok(said.filter(({ errorClass }) => errorClass !== undefined).length <= 10);
  t.equal(world.tracker.counts().queued, 50);
  world.node.isDown = false;
  await world.until('pinned', () => world.tracker.counts().pinned === 50, 60_000);
  await world.end();
});

t.test('a long attempt is shown; a crash during it loses nothing', async (t) => {
  const world = await TrackerWorld.open();
  world.node.answer = () => ({ afterMs: 5000 });
  await world.tracker.start();
  await world.pin([a]);
  await world.until('shown', () => world.status(a).status === 'pinning', 200);
  t.match(world.tracker.counts(), { pinning: 1, queued: 0 });
  await world.crash();
  await world.until('again', () => world.node.attempts(a) === 2);
  await world.until('pinned', () => world.status(a).status === 'pinned');
  await world.end();
});

t.test('a retry under way at a crash is tried again', async (t) => {
  const world = await TrackerWorld.open({ options: { retryBaseMs: 100 } });
  world.node.answer = () => ({ error: 'NO_PROVIDER' });
  await world.tracker.start();
  await world.pin([a]);
  await world.until('failed', () => world.status(a).status === 'pin_error');
  world.node.answer = () => ({ afterMs: 5000 });
  await world.until('shown', () => world.status(a).status === 'pinning');
  t.equal(world.status(a).attempts, 1);
  await world.crash();
  world.node.answer = () => ({});
  await world.until('pinned', () => world.status(a).status === 'pinned');
  await world.end();
});

t.test('stop aborts attempts and leaves their rows; a start takes them up again', async (t) => {
  const world = await TrackerWorld.open();
  world.node.answer = () => ({ afterMs: 5000 });
  await world.tracker.start();
  await world.pin([a]);
  await world.until('shown', () => world.status(a).status === 'pinning');
  await world.tracker.stop();
  t.equal(world.node.underWay, 0);
  t.equal(world.status(a).status, 'pinning');
  t.equal(world.time.pending() <= 1, true, 'no timers are left but the feed trimming of the pinset');
  await world.restart();
  await world.until('pinned', () => world.status(a).status === 'pinned');
  await world.end();
});

t.test('who asks before the start what waits gets no wrong answer afterwards', async (t) => {
  const world = await TrackerWorld.open();
  await world.tracker.start();
  await world.pin([a]);
  await world.until('pinned', () => world.status(a).status === 'pinned');
  await world.crash(undefined, async () => void world.tracker.counts());
  await world.until('pinned', () => world.tracker.counts().pinned === 1);
  t.equal(world.tracker.counts().queued, 0);
  await world.end();
});

t.test('a recursive claim that goes before its turn: the direct pin is told to be pinned again', async (t) => {
  const world = await TrackerWorld.open({ options: { concurrentPinsMax: 1 } });
  await world.tracker.start();
  await world.pin([a], { mode: 'direct', namespace: 'team' });
  await world.until('pinned', () => world.status(a).status === 'pinned');
  world.node.answer = () => ({ afterMs: 5000 });
  await world.pin([b]);
  await world.until('busy', () => world.node.underWay === 1);
  await world.pin([a], { mode: 'recursive' });
  t.equal(world.status(a).status, 'pin_queued');
  const { revision } = world.tracker.feed;
  await world.unpin([a]);
  await world.until('told', () => {
    const read = world.tracker.feed.read(revision, 100);
    return read !== 'gone' && read.rows.some(({ cid, status }) => Buffer.compare(cid, a) === 0 && status === 'pinned');
  });
  await world.end();
});

t.test('a store that goes on with another history has another status feed', async (t) => {
  const world = await TrackerWorld.open();
  await world.tracker.start();
  await world.pin([a]);
  await world.until('pinned', () => world.status(a).status === 'pinned');
  const { incarnation, revision } = world.tracker.feed;
  const marks = [0, 1, revision, revision + 1].map((at) => world.tracker.feed.mark(at));
  t.match(
    marks.map((mark) => mark?.length),
    [0, 8, 8, undefined],
  );
  await world.restart();
  t.same(
    [0, 1, revision, revision + 1].map((at) => world.tracker.feed.mark(at)),
    marks,
  );
  t.same(world.tracker.feed.incarnation, incarnation, 'the same after a restart');
  world.history = new Uint8Array(16).fill(1);
  t.notSame(world.tracker.feed.incarnation, incarnation);
  await world.end();
});

t.test('unpinned during the attempt: it is aborted, and the node is told to forget', async (t) => {
  const world = await TrackerWorld.open();
  world.node.answer = (kind) => (kind === 'pin' ? { afterMs: 5000 } : {});
  await world.tracker.start();
  await world.pin([a]);
  await world.until('under way', () => world.node.underWay === 1);
  await world.unpin([a]);
  await world.until('gone', () => world.status(a).status === 'unpinned' && world.node.underWay === 0, 1000);
  await world.time.advance(100);
  t.equal(world.node.mode(a), 'none');
  t.equal(world.node.attempts(a, 'unpin'), 1);
  await world.end();
});

t.test('pinned at the node, unpinned in the pinset, and a crash before any row: the node is cleaned', async () => {
  const world = await TrackerWorld.open();
  world.node.answer = (kind) => (kind === 'pin' ? { afterMs: 50 } : {});
  await world.tracker.start();
  await world.pin([a]);
  await world.until('under way', () => world.node.underWay === 1);
  await world.tracker.stop();
  // As if the crash had come between the node's answer and the row.
  world.node.records.set(Buffer.from(a).toString('latin1'), { cid: a, mode: 'recursive' });
  await world.unpin([a]);
  await world.restart();
  await world.until('cleaned', () => world.node.mode(a) === 'none');
  await world.end();
});

t.test('fresh work enters while retries wait and run, and retries are not starved', async (t) => {
  const world = await TrackerWorld.open({ options: { retryBaseMs: 100, retryMaxMs: 100 } });
  const bad = Array.from({ length: 300 }, (_, i) => cid(2 * i));
  const badSet = new Set(bad.map((c) => Buffer.from(c).toString('hex')));
  world.node.answer = (_, c) =>
    badSet.has(Buffer.from(c).toString('hex')) ? { afterMs: 30, error: 'NO_PROVIDER' } : { afterMs: 1 };
  await world.tracker.start();
  await world.pin(bad);
  await world.until('failing', () => world.node.calls.length > 600);
  const fresh = Array.from({ length: 2000 }, (_, i) => cid(10_000 + 2 * i));
  await world.pin(fresh);
  const before = world.node.calls.length;
  await world.until('pinned', () => world.tracker.counts().pinned === 2000, 2000);
  const meanwhile = world.node.calls.length - before;
  t.ok(meanwhile > 2020, `retries went on: ${meanwhile - 2000}`);
  await world.end();
});

t.test('ten thousand pins pass through an instant node, at most ten at once', async (t) => {
  const world = await TrackerWorld.open();
  await world.tracker.start();
  const cids = Array.from({ length: 10_000 }, (_, i) => cid(2 * i));
  for (let i = 0; i < cids.length; i += 1000) await world.pin(cids.slice(i, i + 1000));
  t.ok(world.tracker.counts().queued > 9000, 'unread changes count as queued');
  await world.until('pinned', () => world.tracker.counts().pinned === 10_000, 60_000);
  t.equal(world.node.calls.length, 10_000);
  t.ok(world.node.underWayMax <= 10);
  t.equal(world.tracker.counts().queued, 0);
  await world.end();
});

t.test('a feed that is gone: pins are walked against rows, and rows against pins', async (t) => {
  const world = await TrackerWorld.open({ pinset: { feedAgeMs: 1 } });
  const cids = Array.from({ length: 700 }, (_, i) => cid(2 * i));
  await world.tracker.start();
  await world.pin(cids.slice(0, 600));
  await world.until('pinned', () => world.tracker.counts().pinned === 600);
  await world.tracker.stop();
  await world.pinsets.pinset.start();
  await world.unpin(cids.slice(0, 300));
  await world.pin(cids.slice(600));
  await world.time.advance(3_600_000);
  await world.pin([cid(5000)]);
  await world.time.advance(3_600_000);
  t.equal(world.pinsets.pinset.feed.read(1, 1), 'gone', 'the test is about this');
  await world.crash({ feedAgeMs: 1 });
  await world.until('settled', () => world.node.records.size === 401 && world.tracker.counts().pinned === 401);
  for (const c of cids.slice(0, 300)) t.equal(world.node.mode(c), 'none');
  await world.end();
});

t.test('a claim that comes back while the node lets go is not called pinned', async (t) => {
  const world = await TrackerWorld.open();
  await world.tracker.start();
  await world.pin([a]);
  await world.until('pinned', () => world.status(a).status === 'pinned');
  world.node.answer = () => ({ afterMs: 50 });
  await world.unpin([a]);
  await world.until('an unpin is under way', () => world.node.underWay === 1);
  // The node may have let go of it already: its row, as the disk has it, still says that it is pinned.
  await world.pin([a]);
  t.equal(world.status(a).status, 'pin_queued');
  await world.until('pinned again', () => world.status(a).status === 'pinned');
  t.equal(world.node.mode(a), 'recursive');
  await world.end();
});

t.test(
  'a row that cannot be read holds up nothing else, also over a restart, and is taken up when it is repaired',
  async (t) => {
    const world = await TrackerWorld.open();
    await world.tracker.start();
    await world.pin([a, b]);
    await world.until('pinned', () => world.status(b).status === 'pinned');
    const { storage } = world.pinsets;
    const key = pinKey(a, 'default');
    const value = storage.read.get(tableSets.a.pins, key) as Uint8Array;
    const put = (bytes: Uint8Array) => storage.transaction((tx) => tx.put(tableSets.a.pins, key, bytes)).flushed;
    const c = cid(4);
    await put(Buffer.of(0xff));
    await world.pin([a], { namespace: 'n' });
    await world.pin([c]);
    await world.until('the other is pinned', () => world.status(c).status === 'pinned');
    await world.restart();
    await world.unpin([b]);
    await world.until('and unpinned', () => world.status(b).status === 'unpinned');
    t.equal(world.status(a).status, 'pinned', 'as it was when it could be read');
    t.equal(world.node.mode(a), 'recursive', 'the node keeps what nobody knows');
    await put(value);
    await world.unpin([a]);
    await world.unpin([a], 'n');
    await world.until('let go of', () => world.node.mode(a) === 'none');
    await world.end();
  },
);

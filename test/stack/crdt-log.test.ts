import t from 'tap';
import { logMarksTable, logTable } from '../../src/consensus/crdt/tables.ts';
import { pinOp, TestCluster, type TestPeer, testSigner, unpinOp } from '../support/crdt-peers.ts';
import { stateOf } from '../support/crdt-truth.ts';

// 4.7: the log is cut when all have it, or when it is too old or too much; what is cut is told by the floor, and made good by a rebuild.

const hour = 3_600_000;

const isReady = ({ consensus }: TestPeer) => consensus.status().phase === 'ready';
const alerts = ({ consensus }: TestPeer) => consensus.status().alerts.map(({ kind }) => kind);
const logged = ({ storage }: TestPeer) => storage.tableSize(logTable).entries;

function floorOf(peer: TestPeer): number {
  const { clock } = stateOf(peer.storage.read, peer.pinset);
  return [...clock.values()].reduce((sum, { floor }) => sum + floor, 0);
}

/** Long times in long steps. */
async function within(cluster: TestCluster, limitMs: number, condition: () => boolean, what: string): Promise<void> {
  for (let ms = 0; !condition(); ms += 120_000) {
    if (ms > limitMs) throw new Error(`not within ${limitMs} ms: ${what}`);
    await cluster.time.advance(120_000);
  }
}

async function two(crdt = {}): Promise<{ cluster: TestCluster; a: TestPeer; b: TestPeer }> {
  const cluster = new TestCluster();
  const [a, b] = [await cluster.add({ name: 'a', crdt }), await cluster.add({ name: 'b', crdt })];
  await cluster.until(() => isReady(a) && isReady(b), 'ready', 5_000);
  return { cluster, a, b };
}

t.test('L1: what all have acknowledged goes after an hour, at every peer; the pins stay', async (t) => {
  const { cluster, a, b } = await two({ antiEntropyIntervalMs: 60_000 });
  for (let i = 0; i < 5; i++) await a.one(pinOp(i));
  await cluster.until(() => b.pinset.count() === 5, 'at b', 5_000);
  await cluster.time.advance(hour / 2);
  t.equal(logged(a), 5, 'it is not old enough');
  await within(cluster, hour, () => logged(a) === 0 && logged(b) === 0, 'cut');
  t.equal(floorOf(a), 5);
  t.equal(floorOf(b), 5);
  await a.one(unpinOp(0));
  await cluster.until(() => b.pinset.count() === 4, 'it goes on', 5_000);
  t.equal(a.root(), b.root());
  t.same([...alerts(a), ...alerts(b)], []);
  await cluster.stop();
});

t.test('L1: a peer that was heard in the last day keeps the log for it; one away for longer does not', async (t) => {
  const { cluster, a, b } = await two({ antiEntropyIntervalMs: 600_000 });
  const c = await cluster.add({ name: 'c', crdt: { antiEntropyIntervalMs: 600_000 } });
  await cluster.until(() => isReady(c), 'ready');
  await a.one(pinOp('first'));
  await cluster.until(() => c.pinset.count() === 1, 'at c', 5_000);
  await cluster.time.advance(1_300_000);
  await c.stop();
  await a.one(pinOp('second'));
  await cluster.time.advance(5 * hour);
  t.equal(b.pinset.count(), 2);
  t.equal(floorOf(a), 1, 'what c has goes, what it lacks stays');
  t.equal(logged(a), 1);
  await within(cluster, 21 * hour, () => logged(a) === 0, 'after a day');
  await cluster.pumped(c, c.start());
  await cluster.until(() => c.pinset.count() === 2, 'c rebuilds');
  t.equal(c.root(), a.root());
  t.same(alerts(c), []);
  await cluster.stop();
});

t.test('without others that acknowledge, only L2 cuts: by age', async (t) => {
  const cluster = new TestCluster();
  const a = await cluster.add({ name: 'a', crdt: { logAgeMaxMs: 7 * hour, antiEntropyIntervalMs: hour } });
  await a.one(pinOp(1));
  await cluster.time.advance(2 * hour);
  t.equal(logged(a), 1);
  await within(cluster, 6 * hour, () => logged(a) === 0, 'after its time');
  t.equal(a.pinset.count(), 1);
  await cluster.stop();
});

t.test(
  'L2: by size, the oldest first, whoever lacks them; who comes later rebuilds',
  { timeout: 120_000 },
  async (t) => {
    const { cluster, a, b } = await two({ logBytesMax: 1024 ** 2 });
    await b.one(pinOp('of b'));
    cluster.hub.partition(a.peerId, b.peerId);
    for (let round = 0; round < 12; round++) {
      const requests = Array.from({ length: 1_000 }, (_, i) => ({ ops: [pinOp(i, { name: `of round ${round}` })] }));
      await a.commit(...requests);
      await cluster.time.advance(30_000);
    }
    t.ok(floorOf(a) >= 1_000, `floor ${floorOf(a)}`);
    t.ok(floorOf(a) < 12_000, 'and no more than need be');
    t.ok(a.storage.tableSize(logTable).bytes <= 1024 ** 2, `${a.storage.tableSize(logTable).bytes} bytes`);
    cluster.hub.heal(a.peerId, b.peerId);
    await cluster.until(() => alerts(b).includes('REBUILD_NEEDED'), 'b is told', 60_000);
    await cluster.until(() => b.root() === a.root(), 'b rebuilds');
    t.same(alerts(b), []);
    await cluster.stop();
  },
);

t.test('a watch whose clock does not reach up to the floor must list again (6.4)', async (t) => {
  const { cluster, a, b } = await two();
  await a.one(pinOp(1));
  await cluster.until(() => b.pinset.count() === 1, 'at b', 2_000);
  const early = a.consensus.flushedPosition(a.pinset.feed.revision) as Uint8Array;
  await a.one(pinOp(2));
  await within(cluster, 2 * hour, () => logged(b) === 0, 'cut');
  await a.one(pinOp(3));
  await cluster.until(() => b.pinset.count() === 3, 'at b', 2_000);
  t.equal(b.consensus.changedSince(early), 'gone', 'what followed is in no log any more');
  const late = a.consensus.flushedPosition(a.pinset.feed.revision) as Uint8Array;
  t.same(b.consensus.changedSince(late), []);
  await cluster.stop();
});

t.test('what is below the floor and left by a crash goes later; marks stay few', async (t) => {
  const cluster = new TestCluster();
  const crdt = { logAgeMaxMs: 7 * hour, logAgeMinMs: 600_000, antiEntropyIntervalMs: hour };
  const a = await cluster.add({ name: 'a', flush: 'manual', crdt });
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 300_000) {
      await cluster.time.advance(300_000);
      a.storage.control.flush();
    }
  };
  for (let i = 0; i < 60; i++) {
    const work = a.commit({ ops: [pinOp(i)] });
    await cluster.time.advance(0);
    a.storage.control.flush();
    await work;
    await pass(900_000);
  }
  t.ok(logged(a) <= 31 && logged(a) >= 28, `${logged(a)} batches of the last seven hours`);
  t.ok(a.storage.tableSize(logMarksTable).entries < 60);
  await a.crash();
  await cluster.pumped(a, a.start());
  await pass(8 * hour);
  t.equal(logged(a), 0);
  t.equal(a.pinset.count(), 60);
  await cluster.stop();
});

t.test('a log that is cut in the middle of a Sync ends it with FULL_NEEDED, never with a gap (log-hole)', async (t) => {
  const cluster = new TestCluster(3, undefined, { delayMs: () => 20 });
  const crdt = { logAgeMaxMs: 1_000, logAgeMinMs: 1_000, rebuildPatienceMs: 2_000 };
  const a = await cluster.add({ name: 'a', crdt });
  const b = await cluster.add({ name: 'b', crdt });
  await cluster.until(() => isReady(b), 'ready');
  for (let round = 0; round < 6; round++) {
    cluster.hub.partition(a.peerId, testSigner('b').peerId);
    for (let i = 0; i < 10; i++) {
      await a.one(pinOp(`${round} ${i}`));
      await cluster.time.advance(150);
    }
    cluster.hub.heal(a.peerId, testSigner('b').peerId);
    await cluster.time.advance(1_000);
  }
  await cluster.until(() => b.root() === a.root(), 'equal');
  t.equal(b.pinset.count(), 60);
  t.same(alerts(b), []);
  await cluster.stop();
});

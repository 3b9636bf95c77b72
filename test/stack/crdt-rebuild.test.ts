import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import t from 'tap';
import { shadowKeysTable, shadowTable } from '../../src/consensus/crdt/tables.ts';
import { bucketOf } from '../../src/model/pin-key.ts';
import { pinOp, shortLogs, TestCluster, type TestPeer, testKey, testSigner, unpinOp } from '../support/crdt-peers.ts';
import { World } from '../support/crdt-world.ts';

// 4.6 for a peer that has rows, case by case. Logs are cut after a second; the story is always: away for longer than that, then back.

const isReady = ({ consensus }: TestPeer) => consensus.status().phase === 'ready';
const isRebuilding = ({ consensus }: TestPeer) => consensus.status().rebuild !== undefined;
const alerts = ({ consensus }: TestPeer) => consensus.status().alerts.map(({ kind }) => kind);
const filled = ({ consensus }: TestPeer) => consensus.status().rebuild?.done ?? 0;

/** `b` was away while `a`, and maybe others, went on; they are still apart. */
async function apart(
  { seed = 1, delayMs = 2, others = [] as string[], more = {} } = {},
  pins = 300,
): Promise<{ cluster: TestCluster; a: TestPeer; b: TestPeer }> {
  const cluster = new TestCluster(seed, undefined, { delayMs: () => delayMs });
  for (const name of ['a', ...others, 'b']) await cluster.add({ name, crdt: { ...shortLogs, ...more } });
  await cluster.until(() => [...cluster.peers.values()].every(isReady), 'ready');
  const [a, b] = [cluster.peer('a'), cluster.peer('b')];
  await a.commit(...Array.from({ length: pins }, (_, i) => ({ ops: [pinOp(i)] })));
  await cluster.until(() => [...cluster.peers.values()].every((one) => one.root() === a.root()), 'equal');
  for (const name of ['a', ...others]) cluster.hub.partition(testSigner(name).peerId, b.peerId);
  await a.commit(...Array.from({ length: 50 }, (_, i) => ({ ops: [unpinOp(i)] })));
  await a.commit(...Array.from({ length: 100 }, (_, i) => ({ ops: [pinOp(`new ${i}`)] })));
  await cluster.time.advance(5_000);
  return { cluster, a, b };
}

function counted(t: { teardown(fn: () => void): void }): Map<string, number> {
  const marks = new Map<string, number>();
  const count = (name: unknown) => void marks.set(String(name), (marks.get(String(name)) ?? 0) + 1);
  subscribe('pinfold:mark', count);
  t.teardown(() => unsubscribe('pinfold:mark', count));
  return marks;
}

t.test(
  'it takes in what it lacks, keeps what only it has, reads and writes meanwhile, and is told from its alerts',
  async (t) => {
    const { cluster, a, b } = await apart();
    await b.commit({ ops: [pinOp('of b')] }, { ops: [unpinOp(299)] }, { ops: [pinOp(0, { name: 'again' })] });
    const revision = b.pinset.feed.revision;
    cluster.hub.heal(a.peerId, b.peerId);
    await cluster.until(() => alerts(b).includes('REBUILD_NEEDED'), 'the operator is told');
    await cluster.until(() => filled(b) > 8_192, 'in the middle');
    t.ok(isReady(b));
    t.equal((await b.one(pinOp('meanwhile'))).ok, true);
    t.equal((await b.one(unpinOp(298))).ok, true);
    t.equal(b.pinset.get(testKey('new 1')), undefined, 'nothing is shown before the swap');
    await cluster.until(() => !isRebuilding(b) && a.root() === b.root(), 'equal');
    t.equal(
      b.pinset.count(),
      300 - 50 + 100 + 1 - 1 + 1 + 1 - 1,
      'a pin that b renewed stays: the unpin had not seen it',
    );
    t.same(alerts(b), []);
    t.same([...b.storage.read.range(shadowTable)], []);
    await cluster.time.advance(1_000);
    t.same([...b.storage.read.range(shadowKeysTable)], []);
    const entries = b.pinset.feed.read(revision, 10_000);
    if (entries === 'gone') throw new Error('the feed is whole');
    t.notOk(entries.some(({ everything }) => everything));
    const named = new Set(entries.flatMap(({ keys }) => keys.map(String)));
    t.ok(named.size >= 150 && named.size < 170, `only what changed is named (I12): ${named.size}`);
    await cluster.stop();
  },
);

t.test('writes go on through all of a rebuild, and each is there at the end (B3, B4, B5)', async (t) => {
  const marks = counted(t);
  const { cluster, a, b } = await apart({ delayMs: 4 });
  cluster.hub.heal(a.peerId, b.peerId);
  await cluster.until(() => isRebuilding(b), 'begun');
  let written = 0;
  while (isRebuilding(b)) {
    const requests = Array.from({ length: 20 }, (_, i) => ({ ops: [pinOp(`during ${written + i}`)] }));
    written += requests.length;
    const outcomes = b.commit(...requests);
    await cluster.time.advance(1);
    for (const { ok } of await outcomes) if (!ok) throw new Error('refused');
    if (written > 100_000) throw new Error('it never catches up');
  }
  await cluster.until(() => a.root() === b.root(), 'equal');
  t.equal(b.pinset.count(), 300 - 50 + 100 + written);
  t.ok(written > 100, `${written} written meanwhile`);
  t.ok(marks.has('crdt rebuild: swap takes a tail'), 'the last of them in the transaction of the swap');
  await cluster.stop();
});

t.test('equal buckets are not sent (B1)', async (t) => {
  const { cluster, a, b } = await apart({}, 3_000);
  let rows = 0;
  const { network } = b;
  const call = network.rpc.call.bind(network.rpc);
  network.rpc.call = ((peer: string, method: string, requests: never, options: never) =>
    counting(call(peer, method as never, requests, options))) as typeof network.rpc.call;
  async function* counting(answers: AsyncIterable<unknown>) {
    for await (const answer of answers) {
      const { message } = answer as { message?: { case?: string; value?: { rows: Uint8Array } } };
      if (message?.case === 'rows') rows += message.value?.rows.length ?? 0;
      yield answer as never;
    }
  }
  cluster.hub.heal(a.peerId, b.peerId);
  await cluster.until(() => a.root() === b.root(), 'equal');
  t.ok(rows > 0 && rows < 100 * 400, `${rows} bytes of rows for 150 changes in 3,000 pins`);
  await cluster.stop();
});

t.test('the source dies in the middle, and another goes on', async (t) => {
  const { cluster, a, b } = await apart({ others: ['c'] });
  const c = cluster.peer('c');
  await cluster.until(() => a.root() === c.root(), 'the others are equal');
  cluster.hub.heal(a.peerId, b.peerId);
  await cluster.until(() => filled(b) > 8_192, 'in the middle');
  cluster.hub.partition(a.peerId, b.peerId);
  await cluster.time.advance(3_000);
  t.match(b.consensus.status().rebuild, { step: 'filling', problem: 'no peer that has the pinset is reached' });
  cluster.hub.heal(c.peerId, b.peerId);
  await cluster.until(() => b.root() === c.root(), 'equal');
  await cluster.stop();
});

t.test('a source that is behind what the shadow has passed over is not taken (range-below-clock)', async (t) => {
  const marks = counted(t);
  const { cluster, a, b } = await apart({ others: ['c'] });
  const c = cluster.peer('c');
  cluster.hub.partition(a.peerId, c.peerId);
  await a.one(unpinOp(100));
  await a.one(pinOp('later'));
  cluster.hub.heal(a.peerId, b.peerId);
  await cluster.until(() => filled(b) > 8_192, 'in the middle');
  cluster.hub.partition(a.peerId, b.peerId);
  cluster.hub.heal(c.peerId, b.peerId);
  await cluster.time.advance(5_000);
  t.ok(marks.has('crdt rebuild: source behind the shadow'));
  t.equal(isRebuilding(b), true);
  cluster.hub.heal(a.peerId, b.peerId);
  cluster.hub.heal(a.peerId, c.peerId);
  await cluster.until(() => a.root() === b.root() && a.root() === c.root(), 'equal');
  t.equal(b.pinset.get(testKey(100)), undefined);
  await cluster.stop();
});

t.test('two peers below each other’s floors fill from each other at once', async (t) => {
  const { cluster, a, b } = await apart();
  for (let i = 0; i < 30; i++) await b.one(pinOp(`of b ${i}`));
  await cluster.time.advance(5_000);
  cluster.hub.heal(a.peerId, b.peerId);
  await cluster.until(() => alerts(a).includes('REBUILD_NEEDED') && alerts(b).includes('REBUILD_NEEDED'), 'both');
  await cluster.until(() => a.root() === b.root() && !isRebuilding(a) && !isRebuilding(b), 'equal');
  t.equal(a.pinset.count(), 300 - 50 + 100 + 30);
  t.same([...alerts(a), ...alerts(b)], []);
  await cluster.stop();
});

t.test(
  'a peer whose log still reaches back helps, and no rebuild is begun, or it is found needless (B6)',
  async (t) => {
    const { cluster, a, b } = await apart();
    const c = await cluster.add({ name: 'c', crdt: { ...shortLogs, logAgeMaxMs: 3_600_000, logAgeMinMs: 3_600_000 } });
    await cluster.until(() => c.root() === a.root(), 'c has all');
    cluster.hub.partition(c.peerId, b.peerId);
    await cluster.time.advance(3_000);
    await a.one(pinOp('x'));
    await cluster.until(() => c.root() === a.root(), 'c has all');
    cluster.hub.heal(a.peerId, b.peerId);
    cluster.hub.heal(c.peerId, b.peerId);
    await cluster.until(() => b.root() === a.root(), 'b has all');
    t.same(alerts(b), []);
    await cluster.stop();
  },
);

t.test('without progress it is discarded, and begun again when it is needed (B6)', async (t) => {
  const { cluster, a, b } = await apart({ more: { shadowStallTimeoutMs: 5_000 } });
  cluster.hub.heal(a.peerId, b.peerId);
  await cluster.until(() => filled(b) > 8_192, 'in the middle');
  cluster.hub.partition(a.peerId, b.peerId);
  await cluster.until(() => !isRebuilding(b), 'discarded', 20_000);
  t.equal((await b.one(pinOp('still'))).ok, true);
  t.equal(b.pinset.count(), 301, 'nothing live was touched');
  cluster.hub.heal(a.peerId, b.peerId);
  await cluster.until(() => a.root() === b.root(), 'equal');
  await cluster.stop();
});

t.test('it is not begun without room for a second set, says so, and begins when there is room', async (t) => {
  const { cluster, a, b } = await apart();
  b.freeDiskBytes = () => 1_000;
  cluster.hub.heal(a.peerId, b.peerId);
  await cluster.time.advance(30_000);
  t.notOk(isRebuilding(b));
  t.ok(alerts(b).includes('REBUILD_NEEDED'));
  b.freeDiskBytes = () => 1_000_000_000;
  await cluster.until(() => a.root() === b.root(), 'equal', 180_000);
  await cluster.stop();
});

t.test('a power cut at every step of a rebuild: it goes on, and ends the same', { timeout: 300_000 }, async (t) => {
  const whole = await cutAfter(Number.POSITIVE_INFINITY);
  t.ok(whole > 15, `${whole} transactions`);
  const step = process.env.TEST_LONG === '1' ? 1 : 3;
  for (let after = 1; after < whole; after += step) await cutAfter(after);
  t.pass('all ended equal');
});

/** Rebuilds peer c, whose power is cut when so many transactions of it are on the disk; how many there were. */
async function cutAfter(transactions: number): Promise<number> {
  const world = new World(7, { delayMsMax: 1, crdt: shortLogs });
  const { cluster } = world;
  try {
    await world.begin();
    for (let key = 0; key < 6; key++) await world.run({ do: 'write', peer: 0, kind: 'pin', key, flush: true });
    await world.pass(2_000);
    for (const other of [0, 1]) await world.run({ do: 'cut', peer: 2, other });
    for (const key of [0, 1]) await world.run({ do: 'write', peer: 0, kind: 'unpin', key, flush: true });
    await world.run({ do: 'write', peer: 1, kind: 'pin', key: 7, flush: true });
    await world.run({ do: 'write', peer: 2, kind: 'pin', key: 1, flush: true });
    await world.pass(3_000);
    for (const other of [0, 1]) await world.run({ do: 'heal', peer: 2, other });
    const done = await oneByOne(world, transactions);
    const problems = world.check();
    if (problems.length > 0) throw new Error(`after ${transactions}: ${problems.join('\n')}`);
    if (!(await world.healed())) throw new Error(`after ${transactions}: not healed`);
    const after = world.check();
    if (after.length > 0) throw new Error(`after ${transactions}, healed: ${after.join('\n')}`);
    return done;
  } finally {
    await cluster.stop();
  }
}

async function oneByOne(world: World, transactions: number): Promise<number> {
  const { cluster } = world;
  const c = cluster.peer('c');
  let flushed = 0;
  let hasBegun = false;
  for (let ms = 0; ms < 60_000; ms++) {
    for (const name of ['a', 'b']) cluster.peer(name).storage.control.flush();
    hasBegun ||= isRebuilding(c);
    if (hasBegun && flushed === transactions) {
      await world.crash(c);
      return flushed;
    }
    const { queued, committed } = c.storage.control.pending();
    if (queued + committed > 0) {
      c.storage.control.flush(1);
      if (hasBegun) flushed++;
    }
    await cluster.time.advance(1);
    if (hasBegun && !isRebuilding(c)) return flushed;
  }
  throw new Error('no rebuild');
}

t.test('a key of a bucket that is not filled yet, changed meanwhile, comes right (B3)', async (t) => {
  const { cluster, a, b } = await apart({ delayMs: 4 });
  const late = Array.from({ length: 200 }, (_, i) => `late ${i}`).filter((name) => bucketOf(testKey(name)) > 60_000);
  for (const name of late.slice(0, 2)) await a.one(pinOp(name));
  await cluster.time.advance(3_000);
  cluster.hub.heal(a.peerId, b.peerId);
  await cluster.until(() => filled(b) > 4_096, 'in the middle');
  await a.one(unpinOp(late[0] as string));
  await a.one(pinOp(late[1] as string, { name: 'renewed' }));
  await b.one(pinOp(late[2] as string));
  await cluster.until(() => a.root() === b.root() && !isRebuilding(b), 'equal');
  t.equal(b.pinset.get(testKey(late[0] as string)), undefined);
  t.equal(b.pinset.get(testKey(late[1] as string))?.pin.name, 'renewed');
  t.ok(a.pinset.get(testKey(late[2] as string)));
  await cluster.stop();
});

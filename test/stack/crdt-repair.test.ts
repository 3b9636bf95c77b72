import t from 'tap';
import { logTable } from '../../src/consensus/crdt/tables.ts';
import type { RepairBucket, RepairEvent, RepairPeer, RepairResult } from '../../src/consensus/repair.ts';
import { bucketOf } from '../../src/model/pin-key.ts';
import { encodePinRow } from '../../src/pinset/codec/pin-row.ts';
import { tableSets } from '../../src/pinset/tables.ts';
import { pinOp, shortLogs, TestCluster, type TestPeer, testKey, unpinOp } from '../support/crdt-peers.ts';
import { History, stateOf } from '../support/crdt-truth.ts';
import { damage, damageKinds, dotsOf } from '../support/damage.ts';
import { fc } from '../support/fast-check.ts';

const forever = new AbortController().signal;
const numRuns = Number(process.env.FC_RUNS ?? (process.env.TEST_LONG === undefined ? 15 : 500));

async function three(pins: number, seedOfWorld = 1): Promise<{ cluster: TestCluster; peers: TestPeer[] }> {
  const cluster = new TestCluster(seedOfWorld);
  const peers = [await cluster.add({ name: 'a' }), await cluster.add({ name: 'b' }), await cluster.add({ name: 'c' })];
  const [a, b] = peers as [TestPeer, TestPeer];
  await cluster.until(() => peers.every(({ consensus }) => consensus.status().phase === 'ready'), 'ready');
  await a.commit(
    ...Array.from({ length: pins }, (_, i) => ({ ops: [pinOp(i, { name: `n${i}` }, i % 3 === 0 ? [b.peerId] : [])] })),
  );
  if (pins > 1) await b.one(pinOp(1, { name: 'other', expiresMs: 2e12 }), unpinOp(0));
  await settled(cluster, peers);
  return { cluster, peers };
}

/** All have the same, and have said Hello since. */
async function settled(cluster: TestCluster, peers: readonly TestPeer[]): Promise<void> {
  await cluster.until(() => new Set(peers.map((peer) => peer.root())).size === 1, 'equal digests');
  await cluster.time.advance(15_000);
}

async function scrub(cluster: TestCluster, peer: TestPeer): Promise<void> {
  const run = async () => {
    for await (const _ of peer.pinset.scrub.run({ signal: forever }));
  };
  await cluster.pumped(peer, run());
}

/** The buckets of the few pins that `three` makes. */
async function check(cluster: TestCluster, peer: TestPeer): Promise<void> {
  const buckets = Array.from({ length: 12 }, (_, i) => bucketOf(testKey(i)));
  await cluster.pumped(peer, peer.pinset.scrub.check(buckets));
}

async function repair(cluster: TestCluster, peer: TestPeer, apply: boolean, acceptLoss = false) {
  const events: RepairEvent[] = [];
  const run = async () => {
    for await (const event of peer.consensus.repair.run({ apply, acceptLoss, signal: forever })) events.push(event);
  };
  await cluster.pumped(peer, run());
  return {
    peers: events.filter((event): event is RepairPeer => event.kind === 'peer'),
    buckets: events.filter((event): event is RepairBucket => event.kind === 'bucket'),
    result: events.at(-1) as RepairResult,
  };
}

const alertsOf = (peer: TestPeer) => peer.consensus.status().alerts.map(({ kind }) => kind);

/** Rows of any peer as the invariants see them, and that each peer's rows are what its digest says. */
function problemsOf(peers: readonly TestPeer[]): string[] {
  const problems = peers.flatMap((peer) =>
    peer.pinset.scrub.findings().findings.map(({ bucket, kind }) => `${peer.name}: ${kind} in ${bucket}`),
  );
  return new Set(peers.map((peer) => peer.root())).size === 1 ? problems : [...problems, 'unequal digests'];
}

t.test(
  'damage that a disk did is found, planned and put right by what the digest proves, and nobody else is changed',
  async (t) => {
    const { cluster, peers } = await three(200);
    const [a, b] = peers as [TestPeer, TestPeer];
    const truth = stateOf(b.storage.read, b.pinset).rows;
    const revision = b.pinset.feed.revision;
    const keys: (string | undefined)[] = [];
    for (const [i, kind] of (['flip', 'lose', 'garble'] as const).entries())
      keys.push(await damage(a, { kind, at: 100 + 7 * i }));
    t.same(alertsOf(a), [], 'nothing is seen yet');
    await scrub(cluster, a);
    t.match(alertsOf(a), ['ROW_DAMAGED', 'INDEX_DAMAGED']);
    const buckets = keys.map((key) => bucketOf(Buffer.from(key as string, 'hex'))).sort((x, y) => x - y);
    t.match(
      a.consensus.status().alerts[0]?.message,
      new RegExp(`^buckets ${buckets.join(', ')}: .*pinfold store repair`),
    );

    const plan = await repair(cluster, a, false);
    t.equal(plan.peers.length, 2);
    t.same(
      plan.buckets.map(({ bucket, remedy }) => [bucket, remedy]),
      [...buckets, ...buckets].map((each) => [each, 'restore']),
    );
    t.match(plan.result, { buckets: 6, writtenHere: 0, writtenThere: 0, leftOut: 0 });
    const done = await repair(cluster, a, true);
    t.match(done.result, { writtenHere: 3, writtenThere: 0, damaged: 0, leftOut: 0 });
    t.same(stateOf(a.storage.read, a.pinset).rows, truth);
    t.equal(b.pinset.feed.revision, revision, 'b was not written to');
    t.same(alertsOf(a), []);
    for (const peer of peers) await scrub(cluster, peer);
    t.same(problemsOf(peers), []);
    await cluster.stop();
  },
);

t.test(
  'it may be run at the peer that is whole: the other one takes what it lacks, and nothing of its damage comes over',
  async (t) => {
    const { cluster, peers } = await three(100);
    const [a, b] = peers as [TestPeer, TestPeer];
    const truth = stateOf(a.storage.read, a.pinset).rows;
    for (const at of [20, 33, 47]) await damage(a, { kind: 'flip', at });
    await damage(a, { kind: 'lose', at: 60 });
    await scrub(cluster, a);
    const { result, buckets } = await repair(cluster, b, true);
    t.ok(buckets.some(({ remedy }) => remedy === 'keep'));
    t.match(result, { writtenHere: 0, writtenThere: 4 });
    t.same(stateOf(a.storage.read, a.pinset).rows, truth);
    t.same(stateOf(b.storage.read, b.pinset).rows, truth);
    t.same(problemsOf(peers), []);
    await cluster.stop();
  },
);

t.test(
  'equal clocks and unequal pinsets: the alert names the buckets, goes with the repair, and nothing is lost',
  async (t) => {
    const { cluster, peers } = await three(50);
    const [a, b] = peers as [TestPeer, TestPeer];
    const before = dotsOf(peers).size + 2;
    const lost = (await damage(a, { kind: 'forget', at: 10 })) as string;
    await damage(b, { kind: 'rename', at: 20 });
    for (const peer of [a, b]) await peer.one(pinOp(`after ${peer.name}`));
    await cluster.until(() => alertsOf(a).includes('DIVERGED') && alertsOf(b).includes('DIVERGED'), 'the alert');
    const bucket = bucketOf(Buffer.from(lost, 'hex'));
    const messages = () =>
      a.consensus
        .status()
        .alerts.map(({ message }) => message)
        .join();
    await cluster.until(() => new RegExp(`buckets? .*${bucket}`).test(messages()), 'it names the bucket');
    const { buckets } = await repair(cluster, a, false);
    t.ok(buckets.every(({ remedy }) => remedy === 'unite'));
    t.match(
      buckets.find((each) => each.bucket === bucket),
      { onlyHere: 0, onlyThere: 1, differing: 0 },
    );
    await repair(cluster, a, true);
    t.equal(new Set(peers.map((peer) => peer.root())).size, 1, 'one run, all three');
    await cluster.until(
      () => peers.every((peer) => !alertsOf(peer).includes('DIVERGED')),
      'the alerts are cleared',
      300_000,
    );
    t.equal(dotsOf(peers).size, before);
    t.same(problemsOf(peers), []);
    await cluster.stop();
  },
);

t.test(
  'any damage to rows of one of three, repaired in any order: equal digests, and nothing lost that any held',
  async (t) => {
    const one = fc.record({ kind: fc.constantFrom(...damageKinds), at: fc.nat({ max: 10_000 }) });
    const order = fc.shuffledSubarray([0, 1, 2], { minLength: 1 });
    const property = fc.asyncProperty(
      fc.array(one, { minLength: 1, maxLength: 6 }),
      order,
      fc.nat(),
      async (damages, order, n) => {
        const { cluster, peers } = await three(12, n);
        const before = dotsOf(peers);
        for (const each of damages) await damage(peers[0] as TestPeer, each);
        await scrub(cluster, peers[0] as TestPeer);
        for (const i of order) await repair(cluster, peers[i] as TestPeer, true);
        // Who was not asked may have been damaged by whom nobody compared with whom: one more, at the damaged one, ends it.
        if (!order.includes(0)) await repair(cluster, peers[0] as TestPeer, true);
        for (const peer of peers) await check(cluster, peer);
        const problems = problemsOf(peers);
        const after = dotsOf(peers);
        const lost = [...before].filter((dot) => !after.has(dot));
        await cluster.stop();
        if (problems.length > 0 || lost.length > 0) throw new Error([...problems, ...lost].join('; '));
      },
    );
    await fc.assert(property, { numRuns });
    t.pass();
  },
);

t.test('under load: what differs rightly is left out, no alarm is false, and a repair keeps the truth', async (t) => {
  const { cluster, peers } = await three(60);
  const [a, b, c] = peers as [TestPeer, TestPeer, TestPeer];
  await damage(a, { kind: 'lose', at: 30 });
  await damage(a, { kind: 'flip', at: 44 });
  let written = 0;
  let isDone = false;
  const writing = (async () => {
    for (let i = 0; !isDone; i++) {
      const peer = [b, c][i % 2] as TestPeer;
      const ops = i % 3 === 0 ? [unpinOp(i % 60)] : [pinOp(i % 60, { name: `later ${i}` })];
      void peer.consensus.commit([{ ops }], { signal: forever }).catch(() => {});
      written++;
      await cluster.time.advance(20);
    }
  })();
  await cluster.until(() => written > 20, 'writes');
  await scrub(cluster, b);
  t.same(b.pinset.scrub.findings().findings, []);
  t.notOk(alertsOf(b).includes('DIVERGED'));
  for (let i = 0; i < 5; i++) {
    await scrub(cluster, a);
    await repair(cluster, a, true);
  }
  isDone = true;
  await writing;
  await settled(cluster, peers);
  for (const peer of peers) await scrub(cluster, peer);
  const { result } = await repair(cluster, a, true);
  t.equal(result.leftOut, 0);
  t.same(problemsOf(peers), []);
  const states = peers.map(({ storage, pinset }) => stateOf(storage.read, pinset));
  const history = History.of(states);
  for (const state of states) t.same(state.rows, history.truth(state.clock), 'I2');
  await cluster.stop();
});

t.test(
  'a row that cannot be read keeps batches out; it is rescued although the clocks differ, and the batches come in',
  async (t) => {
    const { cluster, peers } = await three(20);
    const [a, b] = peers as [TestPeer, TestPeer];
    const key = Buffer.from(testKey(5));
    await a.storage.transaction((tx) => tx.put(tableSets.a.pins, key, Buffer.of(0xff))).flushed;
    await b.one(pinOp(5, { name: 'newer' }));
    await cluster.time.advance(30_000);
    t.not(a.root(), b.root(), 'the batch is kept out');
    await scrub(cluster, a);
    t.match(alertsOf(a), ['ROW_DAMAGED']);
    const { buckets } = await repair(cluster, a, true);
    t.ok(buckets.some(({ remedy }) => remedy === 'rescue'));
    await cluster.until(() => a.pinset.get(key)?.pin.name === 'newer', 'the batch has come');
    t.match(alertsOf(a), ['ROW_DAMAGED'], 'until it can be compared');
    // What the digest has of the row that was lost is put right now that the clocks are equal.
    await scrub(cluster, a);
    await repair(cluster, a, true);
    await settled(cluster, peers);
    for (const peer of peers) await scrub(cluster, peer);
    t.same(problemsOf(peers), []);
    await cluster.stop();
  },
);

t.test('a row whose value cannot be read is rescued, though batches that come upon it fail all the time', async (t) => {
  const cluster = new TestCluster(1, undefined, { delayMs: () => 60 });
  const crdt = { antiEntropyIntervalMs: 200, pullDelayMs: 20 };
  const [a, b] = [await cluster.add({ name: 'a', crdt }), await cluster.add({ name: 'b', crdt })];
  await cluster.until(() => [a, b].every(({ consensus }) => consensus.status().phase === 'ready'), 'ready');
  await a.one(pinOp(0));
  await settled(cluster, [a, b]);
  const key = testKey(0);
  const write = a.storage.transaction((tx) => {
    const row = a.pinset.row(tx, key).map((dot) => ({ ...dot, value: Uint8Array.of(0xff) }));
    tx.put(tableSets.a.pins, key, encodePinRow(row));
  });
  await cluster.pumped(a, write.flushed);
  await b.one(pinOp(0, { name: 'again' }));
  await cluster.time.advance(20_000);
  t.not(a.root(), b.root(), 'it cannot take that in');
  await cluster.pumped(a, a.pinset.scrub.check([bucketOf(key)]));
  const { result } = await repair(cluster, a, true);
  t.equal(result.writtenHere, 1);
  await cluster.until(() => a.root() === b.root(), 'it has taken it in');
  t.strictSame(stateOf(a.storage.read, a.pinset).rows, stateOf(b.storage.read, b.pinset).rows);
  await cluster.stop();
});

t.test(
  'two peers, each with a damaged row that the other wrote to since: none is stuck, and each row is the truth',
  async (t) => {
    const cluster = new TestCluster();
    const crdt = { antiEntropyIntervalMs: 200, pullDelayMs: 20 };
    const peers = [await cluster.add({ name: 'a', crdt }), await cluster.add({ name: 'b', crdt })];
    const [a, b] = peers as [TestPeer, TestPeer];
    await cluster.until(() => peers.every(({ consensus }) => consensus.status().phase === 'ready'), 'ready');
    await a.commit(...[1, 2, 3, 4].map((i) => ({ ops: [pinOp(i)] })));
    await settled(cluster, peers);
    cluster.hub.partition(a.peerId, b.peerId);
    await a.one(pinOp(1, { name: 'by a' }), unpinOp(2), unpinOp(3));
    await b.one(pinOp(1, { name: 'by b' }), pinOp(2, { name: 'by b' }), pinOp(3, { name: 'by b' }), unpinOp(4));
    await a.one(pinOp(3, { name: 'again by a' }));
    const garble = (peer: TestPeer, i: number) =>
      peer.storage.transaction((tx) => tx.put(tableSets.a.pins, testKey(i), Buffer.of(0xff))).flushed;
    await Promise.all([garble(a, 1), garble(a, 3), garble(b, 2)]);
    cluster.hub.heal(a.peerId, b.peerId);
    await cluster.time.advance(20_000);
    t.not(a.root(), b.root(), 'neither takes in what the other wrote');
    for (const peer of peers) await scrub(cluster, peer);
    await repair(cluster, a, true);
    await repair(cluster, b, true);
    await settled(cluster, peers);
    await repair(cluster, a, true);
    for (const peer of peers) await scrub(cluster, peer);
    t.same(problemsOf(peers), []);
    const states = peers.map(({ storage, pinset }) => stateOf(storage.read, pinset));
    const history = History.of(states);
    for (const state of states) t.same(state.rows, history.truth(state.clock), 'I2');
    await cluster.stop();
  },
);

t.test('what nobody has any more: given up, it keeps neither writes out nor who joins', async (t) => {
  const cluster = new TestCluster();
  const a = await cluster.add({ name: 'a', crdt: shortLogs });
  await cluster.until(() => a.consensus.status().phase === 'ready', 'ready');
  await a.commit(...[1, 2, 3, 4].map((i) => ({ ops: [pinOp(i)] })));
  // Else the own log would tell what that row was.
  await cluster.until(() => [...a.storage.read.range(logTable)].length === 0, 'the log is cut');
  await a.storage.transaction((tx) => {
    tx.put(tableSets.a.pins, testKey(1), Buffer.of(0xff));
    tx.remove(tableSets.a.pins, testKey(2));
  }).flushed;
  t.match(await a.consensus.commit([{ ops: [pinOp(1)] }], { signal: forever }), [
    { ok: false, error: { code: 'DATA_CORRUPT' } },
  ]);
  await scrub(cluster, a);
  const b = await cluster.add({ name: 'b' });
  await cluster.time.advance(60_000);
  t.not(b.consensus.status().phase, 'ready', 'damage is not handed on');
  t.match((await repair(cluster, a, true)).result, { damaged: 2, givenUp: 0 });
  t.match((await repair(cluster, a, true, true)).result, { damaged: 0, givenUp: 1 });
  await cluster.until(() => b.consensus.status().phase === 'ready', 'it has joined', 300_000);
  await settled(cluster, [a, b]);
  await b.one(pinOp(1, { name: 'pinned again' }));
  await settled(cluster, [a, b]);
  t.equal(a.pinset.get(testKey(1))?.pin.name, 'pinned again');
  t.equal(a.pinset.get(testKey(2)), undefined);
  for (const peer of [a, b]) await scrub(cluster, peer);
  t.same(problemsOf([a, b]), []);
  await cluster.stop();
});

t.test('two repairs at once, a peer that takes in the pinset, and one that is alone', async (t) => {
  const { cluster, peers } = await three(5);
  const [a] = peers as [TestPeer];
  const first = a.consensus.repair.run({ apply: false, signal: forever });
  await cluster.pumped(a, first.next());
  await t.rejects(a.consensus.repair.run({ apply: false, signal: forever }).next(), { code: 'LIMIT_REACHED' });
  await first.return(undefined);
  await cluster.stop();
  const alone = new TestCluster();
  const peer = await alone.add({ name: 'x' });
  const { result, peers: compared } = await repair(alone, peer, true);
  t.same(compared, []);
  t.match(result, { buckets: 0, damaged: 0 });
  await alone.stop();
});

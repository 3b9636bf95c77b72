import t, { type Test } from 'tap';
import type { AckLevel, LevelReached, Outcome, Position } from '../../src/consensus/consensus.ts';
import type { PeerRpcHandlers } from '../../src/network/peer-methods.ts';
import { pinOp, seededRandom, TestCluster, type TestPeer, testKey } from '../support/crdt-peers.ts';

const never = new AbortController().signal;
const replicated = (count: number): AckLevel => ({ kind: 'replicated', count });

async function three(more: { c?: object } = {}) {
  const cluster = new TestCluster();
  const a = await cluster.add({ name: 'a' });
  const b = await cluster.add({ name: 'b' });
  const c = await cluster.add({ name: 'c', crdt: more.c ?? {} });
  await cluster.until(() => [a, b, c].every(({ consensus }) => consensus.status().phase === 'ready'), 'ready', 5_000);
  await cluster.time.advance(1_000);
  return { cluster, a, b, c };
}

async function written(peer: TestPeer, name: string, ack: AckLevel): Promise<Position> {
  const [outcome] = await peer.commit({ ops: [pinOp(name)], ack });
  if (outcome?.ok !== true) throw outcome?.error ?? new Error('no outcome');
  return outcome.position;
}

/** What is reached, and after how long. */
async function reached(cluster: TestCluster, peer: TestPeer, position: Position, level: AckLevel, timeoutMs = 10_000) {
  const beganMs = cluster.time.clock.monotonicMs();
  let result: LevelReached | undefined;
  const waiting = peer.consensus.waitLevel(position, level, { signal: never, timeoutMs }).then((got) => {
    result = got;
  });
  while (result === undefined) await cluster.time.advance(5);
  await waiting;
  return { ...result, afterMs: cluster.time.clock.monotonicMs() - beganMs };
}

const ids = (...peers: TestPeer[]) => peers.map(({ peerId }) => peerId).sort();

t.test('REPLICATED 3 of three peers is there within the time of an acknowledgement', async (t) => {
  const { cluster, a, b, c } = await three();
  for (let i = 0; i < 5; i++) {
    const position = await written(a, `k${i}`, replicated(3));
    const { level, acknowledgedBy, afterMs } = await reached(cluster, a, position, replicated(3));
    t.same(level, replicated(3));
    t.same([...acknowledgedBy].sort(), ids(a, b, c));
    t.ok(afterMs <= 200, `${afterMs} ms`);
  }
  await cluster.stop();
});

t.test('many batches are acknowledged in few messages', async (t) => {
  const { cluster, a, b } = await three();
  let messages = 0;
  const { acknowledge } = a.consensus.handlers;
  (a.consensus.handlers as PeerRpcHandlers).acknowledge = (...args) => {
    messages++;
    return acknowledge(...args);
  };
  const positions: Position[] = [];
  for (let i = 0; i < 200; i++) {
    positions.push(await written(a, `k${i}`, replicated(3)));
    await cluster.time.advance(1);
  }
  const last = await reached(cluster, a, positions.at(-1) as Position, replicated(3));
  t.same(last.level, replicated(3));
  t.ok(messages > 0 && messages <= 60, `${messages} messages for 200 batches at two peers`);
  t.equal(b.pinset.count(), 200);
  await cluster.stop();
});

t.test('a batch that comes by a pull is acknowledged, too', async (t) => {
  const cluster = new TestCluster(1, undefined, { dropProbability: 1 });
  const [a, b] = [
    await cluster.add({ name: 'a', crdt: { followPeersMax: 0 } }),
    await cluster.add({ name: 'b', crdt: { followPeersMax: 0 } }),
  ];
  await cluster.until(() => b.consensus.status().phase === 'ready', 'ready');
  const position = await written(a, 'k', replicated(2));
  const { level, afterMs } = await reached(cluster, a, position, replicated(2), 30_000);
  t.same(level, replicated(2));
  t.ok(afterMs < 3_000, `whoever waits asks, and thereby tells: ${afterMs} ms`);
  await cluster.stop();
});

t.test('followers do not count, and say nothing', async (t) => {
  const { cluster, a, b, c } = await three({ c: { follower: true } });
  t.match(a.consensus.levelRefusal(replicated(3)), { code: 'LEVEL_UNREACHABLE', details: { facts: { peers: '2' } } });
  t.equal(a.consensus.levelRefusal(replicated(2)), undefined);
  cluster.hub.partition(a.peerId, b.peerId);
  cluster.hub.partition(b.peerId, c.peerId);
  const position = await written(a, 'k', replicated(2));
  const got = await reached(cluster, a, position, replicated(2), 20_000);
  t.equal(c.pinset.count(), 1, 'the follower has it');
  t.same(got.level, { kind: 'durable' });
  t.same(got.acknowledgedBy, ids(a));
  const there = await reached(cluster, c, position, { kind: 'durable' });
  t.same(there.level, { kind: 'durable' }, 'on its own disk it is');
  t.notOk(there.acknowledgedBy.includes(c.peerId));
  t.ok(got.afterMs >= 20_000 && got.afterMs < 20_100, 'at the end of the time, no error');
  await cluster.stop();
});

t.test('cut off: the write stands at DURABLE; waiting on reaches the level after the cut', async (t) => {
  const { cluster, a, b, c } = await three();
  for (const other of [b, c]) cluster.hub.partition(a.peerId, other.peerId);
  const position = await written(a, 'k', replicated(2));
  const cut = await reached(cluster, a, position, replicated(2), 3_000);
  t.same(cut.level, { kind: 'durable' });
  t.same(cut.acknowledgedBy, ids(a));
  cluster.hub.heal(a.peerId, b.peerId);
  const healed = await reached(cluster, a, position, replicated(2), 60_000);
  t.same(healed.level, replicated(2));
  cluster.hub.heal(a.peerId, c.peerId);
  t.same((await reached(cluster, a, position, replicated(3), 60_000)).level, replicated(3));
  await cluster.stop();
});

t.test('a part of the level is named as reached', async (t) => {
  const { cluster, a, b, c } = await three();
  for (const other of [a, b]) cluster.hub.partition(c.peerId, other.peerId);
  const position = await written(a, 'k', replicated(3));
  const { level, acknowledgedBy } = await reached(cluster, a, position, replicated(3), 3_000);
  t.same(level, replicated(2));
  t.same([...acknowledgedBy].sort(), ids(a, b));
  await cluster.stop();
});

t.test('any peer can wait for the write of another, also one it has not seen yet', async (t) => {
  const { cluster, a, b, c } = await three();
  cluster.hub.partition(a.peerId, c.peerId);
  cluster.hub.partition(b.peerId, c.peerId);
  const position = await written(a, 'k', { kind: 'durable' });
  const unseen = await reached(cluster, c, position, { kind: 'durable' }, 1_000);
  t.same(unseen, { level: undefined, acknowledgedBy: [], afterMs: unseen.afterMs });
  cluster.hub.heal(b.peerId, c.peerId);
  const { level, acknowledgedBy } = await reached(cluster, c, position, replicated(2), 30_000);
  t.same(level, replicated(2));
  t.same([...acknowledgedBy].sort(), ids(b, c), 'a says nothing to it');
  await cluster.stop();
});

t.test('the author restarts between flush and answer: the write stands, and waiting on finds who has it', async (t) => {
  const { cluster, a, b, c } = await three();
  for (const other of [b, c]) cluster.hub.partition(a.peerId, other.peerId);
  const position = await written(a, 'k', replicated(3));
  await a.crash();
  for (const other of [b, c]) cluster.hub.heal(a.peerId, other.peerId);
  await cluster.pumped(a, a.start());
  const { level, afterMs } = await reached(cluster, a, position, replicated(3), 30_000);
  t.same(level, replicated(3));
  t.ok(afterMs < 5_000, `it is announced again by the Hello of each connection: ${afterMs} ms`);
  await cluster.stop();
});

t.test('what a peer said before it was put back does not count any more', async (t) => {
  const cluster = new TestCluster();
  const [a, b] = [await cluster.add({ name: 'a' }), await cluster.add({ name: 'b', flush: 'manual' })];
  const flushed = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 50) {
      b.storage.control.flush();
      await cluster.time.advance(50);
    }
  };
  await flushed(2_000);
  const { control } = b.storage;
  await b.crash();
  const backup = control.crash('machine');
  await cluster.pumped(b, b.start());
  const position = await written(a, 'k', replicated(2));
  await flushed(2_000);
  t.same((await reached(cluster, a, position, replicated(2))).level, replicated(2));

  await b.crash();
  b.storage = backup;
  b.identityStamp = Buffer.from('restored');
  cluster.hub.partition(a.peerId, b.peerId);
  await cluster.pumped(b, b.start());
  cluster.hub.heal(a.peerId, b.peerId);
  await cluster.time.advance(20_000);
  t.same((await reached(cluster, a, position, replicated(2))).level, { kind: 'durable' });
  await flushed(5_000);
  t.same((await reached(cluster, a, position, replicated(2))).level, replicated(2));
  await cluster.stop();
});

t.test('power fails everywhere: what was answered REPLICATED n is on n disks (I5)', async (t) => {
  const seeds = process.env.CRDT_LONG === undefined ? 12 : 200;
  for (let seed = 1; seed <= seeds; seed++) await powerCut(t, seed);
});

/** Writes at random, disks that flush when they like, and then none has power. */
async function powerCut(t: Test, seed: number): Promise<void> {
  const random = seededRandom(seed);
  const cluster = new TestCluster(seed, undefined, { dropProbability: seed % 3 === 0 ? 0.5 : 0 });
  const names = ['a', 'b', 'c'];
  for (const name of names) await cluster.add({ name, flush: 'manual' });
  const peers = names.map((name) => cluster.peer(name));
  for (let i = 0; i < 100; i++) {
    cluster.flush();
    await cluster.time.advance(50);
  }
  const answered: { name: string; count: number }[] = [];
  for (let step = 0; step < 150; step++) {
    const peer = peers[Math.floor(random.float() * 3)] as TestPeer;
    if (random.float() < 0.3) {
      const name = `k${step}`;
      const count = 2 + Math.floor(random.float() * 2);
      const ack = replicated(count);
      void peer.consensus
        .commit([{ ops: [pinOp(name)], ack }], { signal: never })
        .then(([outcome]) => levelOf(peer, outcome, ack))
        .then((level) => {
          if (level?.kind === 'replicated') answered.push({ name, count: level.count });
        })
        .catch(() => {}); // Without power nothing is answered.
    }
    const other = peers[Math.floor(random.float() * 3)] as TestPeer;
    if (random.float() < 0.5) other.storage.control.flush(1 + Math.floor(random.float() * 3));
    await cluster.time.advance(Math.floor(random.float() * 40));
  }
  const told = [...answered];
  for (const peer of peers) await peer.crash();
  for (const peer of peers) await cluster.pumped(peer, peer.start());
  const lost = told.filter(
    ({ name, count }) => peers.filter(({ pinset }) => pinset.get(testKey(name)) !== undefined).length < count,
  );
  t.same(lost, [], `seed ${seed}: ${told.length} were answered`);
  t.ok(told.length > 0, `seed ${seed}: some were answered`);
  await cluster.stop();
}

async function levelOf(
  peer: TestPeer,
  outcome: Outcome | undefined,
  ack: AckLevel,
): Promise<LevelReached['level'] | undefined> {
  if (outcome?.ok !== true) return undefined;
  return (await peer.consensus.waitLevel(outcome.position, ack, { signal: never, timeoutMs: 30_000 })).level;
}

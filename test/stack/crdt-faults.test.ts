import { hash } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import t from 'tap';
import { MergeRangeRequestSchema } from '../../gen/pinfold/peer/v1/service_pb.ts';
import { encodeHeader, ridOf } from '../../src/consensus/crdt/codec/header.ts';
import { encodeSignedBatch } from '../../src/consensus/crdt/codec/signed-batch.ts';
import { OperationWriter } from '../../src/consensus/crdt/core/operation-writer.ts';
import { decodePosition, encodeHeads } from '../../src/consensus/crdt/core/position.ts';
import { replicasTable } from '../../src/consensus/crdt/tables.ts';
import { parsePeerId } from '../../src/model/peer-id.ts';
import { bucketOf } from '../../src/model/pin-key.ts';
import { memoryAddress, memoryNetwork } from '../../src/network/memory/memory-network.ts';
import type { Network } from '../../src/network/network.ts';
import { encodePinValue } from '../../src/pinset/codec/pin-value.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { noMetrics } from '../../src/runtime/metrics.ts';
import { pinOp, plainFields, TestCluster, type TestPeer, testKey, testSigner, unpinOp } from '../support/crdt-peers.ts';

async function two(crdt = {}): Promise<{ cluster: TestCluster; a: TestPeer; b: TestPeer }> {
  const cluster = new TestCluster();
  const [a, b] = [await cluster.add({ name: 'a', crdt }), await cluster.add({ name: 'b', crdt })];
  await cluster.until(() => [a, b].every(({ consensus }) => consensus.status().phase === 'ready'), 'ready', 5_000);
  return { cluster, a, b };
}

/** A batch as its author would send it, of pins of these names. */
function craft(
  author: string,
  more: { first?: number; prev?: Uint8Array; names?: string[]; sees?: number[]; stamp?: number } = {},
) {
  const signer = testSigner(author);
  const { first = 1, prev = new Uint8Array(0), names = ['k'], sees = [], stamp = 5_000_000 } = more;
  const incarnation = Buffer.alloc(8, 7);
  const rid = ridOf(signer.publicKey, incarnation);
  const writer = new OperationWriter({ rid: () => rid, peer: () => rid });
  const value = encodePinValue({ ...plainFields, name: author });
  for (const name of names) {
    writer.operation({ kind: 1, key: testKey(name), sees, stamp, value, allocations: [], idempotency: undefined });
  }
  const ops = writer.take();
  const last = first + names.length - 1;
  const opsHash = hash('sha256', ops, 'buffer');
  const author38 = parsePeerId(signer.peerId);
  const header = encodeHeader({
    level: 1,
    author: author38,
    incarnation,
    first,
    last,
    prev,
    inc: [],
    opsHash,
    opsBytes: ops.length,
  });
  return {
    message: encodeSignedBatch({ header, signature: signer.sign(header), ops }),
    hash: hash('sha256', header, 'buffer'),
  };
}

/** A stranger inside the private network, that sends what it likes. */
async function stranger(cluster: TestCluster, to: readonly TestPeer[]): Promise<{ network: Network }> {
  const policy = { isMember: () => true, isTrusted: () => true };
  const common = { ...cluster.time, logger: silentLogger, metrics: noMetrics };
  const network = memoryNetwork({ peerId: testSigner('stranger').peerId }, { hub: cluster.hub, policy, ...common });
  await network.start();
  for (const { peerId } of to) network.remember(peerId, [memoryAddress(peerId)]);
  return { network };
}

t.test('a fork raises FORK: the branch that was taken goes on, the other is not taken (N4)', async (t) => {
  const { cluster, a, b } = await two();
  const { network } = await stranger(cluster, [a, b]);
  network.gossip.publish('batches', craft('x', { names: ['one'] }).message);
  await cluster.time.advance(1_000);
  t.equal(a.pinset.count(), 1);
  network.gossip.publish('batches', craft('x', { names: ['two'] }).message);
  await cluster.time.advance(1_000);
  t.same(
    a.consensus.status().alerts.map(({ kind, peerId }) => [kind, peerId]),
    [['FORK', testSigner('x').peerId]],
  );
  const next = craft('x', { first: 2, prev: craft('x', { names: ['one'] }).hash, names: ['three'] });
  network.gossip.publish('batches', next.message);
  await cluster.time.advance(1_000);
  t.equal(a.pinset.count(), 2, 'others may build on what goes on from here');
  const other = craft('x', { first: 2, prev: craft('x', { names: ['two'] }).hash, names: ['four'] });
  network.gossip.publish('batches', other.message);
  await cluster.time.advance(1_000);
  t.ok(a.pinset.get(testKey('three')));
  t.notOk(a.pinset.get(testKey('four')));
  t.equal((await a.one(pinOp('own'))).ok, true);
  await cluster.until(() => b.pinset.count() === 3, 'and so do the others', 5_000);
  await a.crash();
  await a.start();
  t.match(
    a.consensus.status().alerts,
    [{ kind: 'FORK', peerId: testSigner('x').peerId }],
    'it is known after a restart',
  );
  await cluster.stop();
});

t.test('an author that sees what it cannot have seen is frozen (R6)', async (t) => {
  const { cluster, a, b } = await two();
  const { network } = await stranger(cluster, [a, b]);
  network.gossip.publish('batches', craft('x', { sees: [0, 99] }).message);
  await cluster.time.advance(1_000);
  t.equal(a.pinset.count(), 0);
  t.same(
    a.consensus.status().alerts.map(({ kind }) => kind),
    ['FORK'],
  );
  await cluster.stop();
});

t.test('gossip: invalid messages are rejected, and change nothing', async (t) => {
  const { cluster, a } = await two();
  const { network } = await stranger(cluster, [a]);
  const good = craft('x').message;
  const flipped = Uint8Array.from(good);
  flipped[flipped.length - 1] = (flipped.at(-1) as number) ^ 1;
  const forged = Uint8Array.from(good);
  forged[100] = (forged[100] as number) ^ 1;
  for (const message of [flipped, forged, good.subarray(0, 50), Buffer.from('rubbish'), new Uint8Array(0)]) {
    network.gossip.publish('batches', message);
  }
  await cluster.time.advance(1_000);
  t.equal(a.pinset.count(), 0);
  network.gossip.publish('batches', craft('y').message);
  await cluster.time.advance(1_000);
  t.equal(a.pinset.count(), 1, 'what is right is still taken');
  await cluster.stop();
});

t.test('a batch that comes before what it needs waits, and is brought by a pull (R4)', async (t) => {
  const { cluster, a, b } = await two({ followPeersMax: 0 });
  cluster.hub.partition(a.peerId, b.peerId);
  await a.one(pinOp(1));
  await cluster.time.advance(100);
  cluster.hub.heal(a.peerId, b.peerId);
  await a.one(pinOp(2));
  await cluster.until(() => b.pinset.count() === 2, 'both', 1_000);
  t.equal(a.root(), b.root());
  await cluster.stop();
});

t.test('large batches are announced, and pulled (G1, G3)', async (t) => {
  const { cluster, a, b } = await two({ followPeersMax: 0 });
  const requests = Array.from({ length: 3_000 }, (_, i) => ({ ops: [pinOp(i, { name: `a name for number ${i}` })] }));
  await a.commit(...requests);
  await cluster.until(() => b.pinset.count() === 3_000, 'pulled', 2_000);
  t.equal(a.root(), b.root());
  await cluster.stop();
});

t.test('followed, nothing waits for a pull (S5)', async (t) => {
  const cluster = new TestCluster(1, undefined, { dropProbability: 1 });
  const [a, b] = [await cluster.add({ name: 'a' }), await cluster.add({ name: 'b' })];
  await cluster.time.advance(3_000);
  const requests = Array.from({ length: 3_000 }, (_, i) => ({ ops: [pinOp(i)] }));
  await a.commit(...requests);
  await cluster.time.advance(0);
  t.equal(b.pinset.count(), 3_000);
  await cluster.stop();
});

t.test('a store that was rolled back goes on as a new incarnation (N3)', async (t) => {
  const { cluster, a, b } = await two();
  await a.one(pinOp(1));
  await cluster.until(() => b.pinset.count() === 1, 'at b', 2_000);
  const older = a.storage.control;
  await a.crash();
  const backup = older.crash('machine');
  await a.start();
  await a.one(pinOp(2));
  await cluster.until(() => b.pinset.count() === 2, 'at b', 5_000);
  await a.crash();
  a.storage = backup; // The same identity stamp: a block device put back under the peer.
  await a.start();
  await cluster.until(() => a.pinset.count() === 2, 'its own batch comes back', 15_000);
  t.ok(a.consensus.status().alerts.some(({ kind }) => kind === 'ROLLED_BACK'));
  t.equal((await a.one(pinOp(3))).ok, true);
  await cluster.until(() => b.pinset.count() === 3, 'at b', 5_000);
  t.equal([...a.storage.read.range(replicasTable)].length, 2, 'two replicas of a');
  t.equal(a.root(), b.root());
  await cluster.stop();
});

t.test('a range is one flushed state: clock and rows agree, and nothing unflushed is in it (B1, F1)', async (t) => {
  const cluster = new TestCluster();
  const a = await cluster.add({ name: 'a', flush: 'manual' });
  const write = async (name: string) => {
    void a.one(pinOp(name)).catch(() => {});
    await cluster.time.advance(10);
    a.storage.control.commit();
  };
  await write('one');
  a.storage.control.flush();
  await write('two');
  async function* request() {
    yield create(MergeRangeRequestSchema, { from: 0, to: 4_096 });
  }
  const context = { peerId: testSigner('d').peerId, signal: new AbortController().signal };
  const answer = a.consensus.handlers.mergeRange(request(), context)[Symbol.asyncIterator]();
  let isAnswered = false;
  const head = answer.next();
  head.then(() => {
    isAnswered = true;
  });
  await cluster.time.advance(100);
  t.equal(isAnswered, false, 'it waits until what it has read is on the disk');
  // Meanwhile another's batch becomes visible, behind what was read.
  const { network } = await stranger(cluster, [a]);
  network.gossip.publish('batches', craft('x').message);
  await cluster.time.advance(10);
  a.storage.control.commit();
  t.equal(a.pinset.count(), 3);
  a.storage.control.flush();
  const message = (await head).value?.message;
  if (message?.case !== 'head') throw new Error('the head comes first');
  t.same(
    message.value.clock.map(({ sequence }: { sequence: bigint }) => sequence),
    [2n],
    'the clock of the rows (clock-of-end)',
  );
  await answer.return?.();
  await cluster.stop();
});

t.test('what the live store takes in while the shadow fills is not lost by the swap (own-log-forgotten)', async (t) => {
  const cluster = new TestCluster(1, undefined, { delayMs: () => 2 });
  const a = await cluster.add({ name: 'a' });
  for (let i = 0; i < 5; i++) await a.one(pinOp(i));
  const d = await cluster.add({ name: 'd' });
  const { network } = await stranger(cluster, [d]);
  await cluster.until(() => (d.consensus.status().rebuild?.done ?? 0) > 8_192, 'in the middle');
  cluster.hub.partition(a.peerId, d.peerId);
  // In a bucket that is filled already: no later range brings it.
  const name = Array.from({ length: 1_000 }, (_, i) => `of x ${i}`).find(
    (one) => bucketOf(testKey(one)) < 4_096,
  ) as string;
  network.gossip.publish('batches', craft('x', { names: [name] }).message);
  await cluster.time.advance(100);
  t.equal(d.pinset.count(), 1, 'in the live store, before the swap');
  cluster.hub.heal(a.peerId, d.peerId);
  await cluster.until(() => d.consensus.status().phase === 'ready', 'joined');
  t.equal(d.pinset.count(), 6);
  await cluster.until(() => a.root() === d.root(), 'equal', 30_000);
  await cluster.stop();
});

t.test('equal clocks over unequal pinsets raise DIVERGED (section 8)', async (t) => {
  const { cluster, a, b } = await two();
  await a.one(pinOp(1, { name: 'right' }));
  await cluster.until(() => b.pinset.count() === 1, 'at b', 2_000);
  b.storage.transaction((tx) =>
    b.pinset.write(tx, [{ key: testKey(1), before: b.pinset.row(tx, testKey(1)), after: [] }]),
  );
  await cluster.until(() => a.consensus.status().alerts.some(({ kind }) => kind === 'DIVERGED'), 'noticed', 60_000);
  t.pass();
  await cluster.stop();
});

t.test('a clock that is wrong by more than a minute stops writes, and only those (C4)', async (t) => {
  const cluster = new TestCluster();
  const a = await cluster.add({ name: 'a', clockOffsetMs: -90_000 });
  const b = await cluster.add({ name: 'b' });
  await cluster.time.advance(3_000);
  t.equal(a.consensus.refusal(), undefined, 'one other says nothing');
  await cluster.add({ name: 'c' });
  await cluster.time.advance(20_000);
  const refused = await a.one(pinOp(1));
  t.equal(!refused.ok && refused.error.code, 'CLOCK_SKEW');
  t.match(a.consensus.status().alerts, [
    { kind: 'CLOCK_SKEW', message: 'its clock is 90 s behind the median of the others' },
  ]);
  t.equal((await b.one(pinOp(2))).ok, true, 'the median of the others is right for b');
  await cluster.until(() => a.pinset.count() === 1, 'it takes in what others write', 5_000);
  await cluster.stop();
});

t.test('a bulk stream and a call are remembered by every peer that took them in (6.3)', async (t) => {
  const { cluster, a, b } = await two();
  const key = Buffer.alloc(16, 's');
  const numbered = (number: number) => ({ ops: [pinOp(number)], stream: { key, number } });
  await a.commit(numbered(1), numbered(2), { ops: [unpinOp('none')], stream: { key, number: 3 } }, numbered(4));
  await cluster.until(() => b.pinset.count() === 3, 'at b', 2_000);
  t.equal(await b.consensus.streamDecided(key), 4);
  const [outcome] = await b.commit(numbered(5));
  t.equal(outcome?.ok, true);
  const idempotency = { key: Buffer.alloc(16, 'c'), request: Buffer.alloc(16, 'r') };
  const [first] = await a.commit({ ops: [pinOp('x')], idempotency });
  await cluster.until(() => b.pinset.count() === 5, 'at b', 2_000);
  const [again] = await b.commit({ ops: [pinOp('x')], idempotency });
  t.same(again?.ok && again.position, first?.ok && first.position);
  await cluster.stop();
});

t.test('a watch goes on at another peer without missing a change (6.4)', async (t) => {
  const { cluster, a, b } = await two();
  await a.one(pinOp(1));
  await cluster.until(() => b.pinset.count() === 1, 'at b', 2_000);
  const position = a.consensus.flushedPosition(a.pinset.feed.revision) as Uint8Array;
  t.same(b.consensus.changedSince(position), []);
  await b.one(pinOp(2));
  await a.one(unpinOp(1));
  await cluster.until(() => a.root() === b.root(), 'equal', 2_000);
  const changed = b.consensus.changedSince(position);
  t.equal(Array.isArray(changed) && changed.length, 2);
  const other = encodeHeads(
    decodePosition(position).map((head) => ({ ...head, hash: head.hash.map((byte) => ~byte) })),
  );
  t.equal(
    b.consensus.changedSince(other),
    'gone',
    'what it speaks of, its author gave up: others have other operations there',
  );
  cluster.hub.partition(a.peerId, b.peerId);
  await a.one(pinOp(3));
  const ahead = a.consensus.flushedPosition(a.pinset.feed.revision) as Uint8Array;
  t.equal(b.consensus.changedSince(ahead), 'ahead');
  t.equal(b.consensus.covers(ahead), false);
  const late = await cluster.add({ name: 'late', bootstrap: [memoryAddress(b.peerId)] });
  await cluster.until(() => late.consensus.status().phase === 'ready', 'joined');
  t.equal(late.consensus.changedSince(a.consensus.flushedPosition(0) ?? Buffer.of(1)), 'gone', 'below its floor');
  await cluster.stop();
});

t.test('a follower takes no writes, and nobody takes state from it', async (t) => {
  const cluster = new TestCluster();
  const a = await cluster.add({ name: 'a' });
  await a.one(pinOp(1));
  const f = await cluster.add({ name: 'f', crdt: { follower: true } });
  await cluster.until(() => f.pinset.count() === 1, 'it has the pin');
  const refused = await f.one(pinOp(2));
  t.equal(!refused.ok && refused.error.code, 'FOLLOWER');
  const late = await cluster.add({ name: 'late', bootstrap: [memoryAddress(f.peerId)] });
  await cluster.time.advance(20_000);
  t.equal(late.pinset.count(), 0);
  await cluster.stop();
});

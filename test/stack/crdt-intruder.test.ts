import { create } from '@bufbuild/protobuf';
import t from 'tap';
import { SignedBatchSchema } from '../../gen/pinfold/peer/v1/batch_pb.ts';
import {
  GetClockRequestSchema,
  OfferBatchesRequestSchema,
  ReportUntrustedRequestSchema,
} from '../../gen/pinfold/peer/v1/service_pb.ts';
import { clockEntry } from '../../src/consensus/crdt/codec/clock-entries.ts';
import { decodeSignedBatch, encodeSignedBatch } from '../../src/consensus/crdt/codec/signed-batch.ts';
import { pinOp, TestCluster, type TestPeer, testKey } from '../support/crdt-peers.ts';
import { Intruder } from '../support/intruder.ts';
import { countingMetrics } from '../unit/network/libp2p-helpers.ts';

const quick = { antiEntropyIntervalMs: 500 };

/** Two peers that trust each other, and an intruder connected with both. */
async function besieged(trusts: readonly string[] = ['a', 'b']) {
  const cluster = new TestCluster(5);
  const metrics = countingMetrics();
  const a = await cluster.add({ name: 'a', trusts, metrics: metrics.register, crdt: quick });
  const b = await cluster.add({ name: 'b', trusts, crdt: quick });
  await cluster.until(() => [a, b].every(({ consensus }) => consensus.status().phase === 'ready'), 'ready');
  const intruder = new Intruder(cluster);
  intruder.wallTimeMs = cluster.time.clock.nowMs();
  await intruder.start(cluster);
  await cluster.until(() => intruder.asked.includes('hello'), 'the intruder was greeted');
  return { cluster, metrics, a, b, intruder };
}

const alertsOf = ({ consensus }: TestPeer) => consensus.status().alerts.map(({ kind }) => kind);

t.test(
  'T1: what an untrusted author gossips gets in nowhere, is counted, and is reported to it once a minute',
  async (t) => {
    const { cluster, metrics, a, b, intruder } = await besieged();
    for (let i = 0; i < 3; i++) intruder.network.gossip.publish('batches', intruder.batch([{ name: 'bad' }]));
    const { header, signature } = decodeSignedBatch(intruder.batch([{ name: 'announced' }]));
    intruder.network.gossip.publish('batches', encodeSignedBatch({ header, signature, ops: new Uint8Array(0) }));
    await cluster.time.advance(30_000);
    t.equal(metrics.count('pinfold_crdt_untrusted_batches_total'), 4);
    t.strictSame(intruder.reports, [], 'not yet');
    await cluster.time.advance(31_000);
    t.equal(intruder.reports.length, 2, 'one of each peer');
    t.strictSame(
      intruder.reports.map(({ batches }) => batches),
      [4n, 4n],
    );
    t.equal(intruder.reports[0]?.trustList?.peerIds.length, 2, 'with the list of the reporter');
    await cluster.time.advance(120_000);
    t.equal(intruder.reports.length, 2, 'and no more where nothing came');
    t.strictSame([...a.names(), ...b.names()], []);
    t.notOk(intruder.asked.includes('sync'), 'nothing is pulled for its announcement');
    await cluster.stop();
  },
);

t.test('T5: nobody can have another reported: a forged batch is no batch', async (t) => {
  const { cluster, metrics, intruder } = await besieged();
  const victim = new Intruder(cluster, 'victim');
  await victim.start(cluster);
  const { header, ops } = decodeSignedBatch(victim.batch([{ name: 'x' }]));
  intruder.network.gossip.publish('batches', encodeSignedBatch({ header, signature: new Uint8Array(64), ops }));
  await cluster.time.advance(61_000);
  t.equal(metrics.count('pinfold_crdt_untrusted_batches_total'), 0);
  t.strictSame(victim.reports, []);
  await cluster.stop();
});

t.test('T3: no state is asked of an untrusted peer, and its clock and wall time say nothing', async (t) => {
  const { cluster, a, b, intruder } = await besieged();
  const second = new Intruder(cluster, 'second intruder');
  intruder.send(intruder.batch([{ name: 'bad' }]));
  await a.one(pinOp(1));
  const own = a.consensus;
  t.equal(own.status().phase, 'ready');
  // They claim to have more of a's own replica than a has (N3), and to live tomorrow (C4): two clocks of three.
  const [entry] = await clockOf(intruder, a);
  for (const liar of [intruder, second]) {
    liar.wallTimeMs = cluster.time.clock.nowMs() + 86_400_000;
    if (entry !== undefined) liar.claims.set('a', { rid: entry.rid, sequence: 1_000 });
  }
  await second.start(cluster);
  for (const liar of [intruder, second]) for (const peer of [a, b]) await liar.greet(peer.peerId);
  const clock = [clockEntry(entry?.rid ?? new Uint8Array(16), 1_000, new Uint8Array(0))];
  await intruder.call(a.peerId, 'getClock', create(GetClockRequestSchema, { clock }));
  await cluster.time.advance(60_000);
  for (const method of ['getClock', 'sync', 'mergeRange'] as const)
    t.notOk(intruder.asked.includes(method), `no ${method} is asked of it`);
  const hellos = intruder.asked.filter((method) => method === 'hello').length;
  t.ok(hellos > 2, 'it is greeted when it connects and in turn, for its records and lists');
  t.strictSame(alertsOf(a), []);
  t.equal((await a.one(pinOp(2))).ok, true, 'no skew is believed');
  t.equal(b.pinset.count(), 2);
  await cluster.stop();
});

async function clockOf(intruder: Intruder, peer: TestPeer) {
  const answer = await intruder.call(peer.peerId, 'getClock', create(GetClockRequestSchema));
  return answer?.clock ?? [];
}

t.test('T3: state is given to any peer of the private network', async (t) => {
  const { cluster, a, intruder } = await besieged();
  await a.one(pinOp(1));
  t.equal((await clockOf(intruder, a)).length, 1);
  await cluster.stop();
});

t.test('T3: an empty peer does not join from an untrusted one, and acknowledgements of it do not count', async (t) => {
  const cluster = new TestCluster(6);
  const intruder = new Intruder(cluster);
  await intruder.start(cluster);
  intruder.wallTimeMs = cluster.time.clock.nowMs();
  intruder.claims.set('x', { rid: intruder.rid, sequence: 5 });
  const bootstrap = [`/memory/${intruder.peerId}/p2p/${intruder.peerId}`];
  const a = await cluster.add({ name: 'a', trusts: ['a'], bootstrap, crdt: quick });
  await cluster.until(() => a.consensus.status().phase === 'ready', 'it begins by itself', 90_000);
  t.notOk(intruder.asked.includes('mergeRange'));
  t.equal(a.pinset.count(), 0);
  await cluster.stop();
});

t.test('calls that bring state, or change this peer, are refused to who is not trusted', async (t) => {
  const { cluster, a, intruder } = await besieged();
  const batches = [create(SignedBatchSchema, decodeSignedBatch(intruder.batch([{ name: 'bad' }])))];
  const offer = create(OfferBatchesRequestSchema, { batches });
  await t.rejects(intruder.call(a.peerId, 'offerBatches', offer), { code: 'PERMISSION_DENIED' });
  t.equal(a.pinset.count(), 0);
  await cluster.stop();
});

t.test('a report of who does not trust is no proof that nobody does', async (t) => {
  const { cluster, metrics, a, intruder } = await besieged();
  await intruder.call(
    a.peerId,
    'reportUntrusted',
    create(ReportUntrustedRequestSchema, { batches: 9n, trustList: {} }),
  );
  t.equal(metrics.count('pinfold_crdt_untrusted_reports_total'), 1);
  t.equal((await a.one(pinOp(1))).ok, true);
  t.strictSame(alertsOf(a), []);
  await cluster.stop();
});

t.test('struck off in the middle: a stream that is followed ends, and what was taken stays', async (t) => {
  const { cluster, a, b, intruder } = await besieged(['a', 'b', 'intruder']);
  await cluster.until(() => intruder.asked.includes('sync'), 'it is followed');
  intruder.send(intruder.batch([{ name: 'good', key: testKey('good') }]));
  await cluster.until(() => a.names().includes('good'), 'it is taken');
  a.trust.change([b.peerId]);
  b.trust.change([a.peerId]);
  const asked = intruder.asked.length;
  for (let i = 0; i < 3; i++) intruder.send(intruder.batch([{ name: 'late', key: testKey(`late ${i}`) }]));
  await cluster.time.advance(60_000);
  t.strictSame(a.names(), ['good']);
  t.notOk(intruder.asked.slice(asked).includes('sync'), 'nor asked again');
  await cluster.stop();
});

t.test('T2: struck off by one, its writes come through the other, and are counted there', async (t) => {
  const cluster = new TestCluster(9);
  const metrics = countingMetrics();
  const a = await cluster.add({ name: 'a', trusts: ['b'], metrics: metrics.register, crdt: quick });
  const b = await cluster.add({ name: 'b', trusts: 'all', crdt: quick });
  const c = await cluster.add({ name: 'c', trusts: 'all', crdt: quick });
  await cluster.until(() => [a, b, c].every(({ consensus }) => consensus.status().phase === 'ready'), 'ready');
  await cluster.until(() => [a, b, c].every(({ monitor }) => monitor?.members().length === 3), 'acquainted');
  const outcome = await c.one(pinOp('x', { name: 'of c' }));
  t.ok(outcome.ok && outcome.unseenBy.length === 0);
  await cluster.until(() => a.names().includes('of c'), 'a has it through b');
  t.equal(metrics.count('pinfold_crdt_relayed_untrusted_operations_total'), 1);
  t.strictSame(alertsOf(c), [], 'which is no cause for an alert');
  await cluster.stop();
});

t.test(
  'what pends of an author that is struck off is dropped, though what it waits for comes by the corridor',
  async (t) => {
    const { cluster, a, b, intruder } = await besieged(['a', 'b', 'intruder']);
    cluster.hub.partition(a.peerId, b.peerId);
    cluster.hub.partition(a.peerId, intruder.peerId);
    intruder.network.gossip.publish('batches', intruder.batch([{ name: 'first', key: testKey('first') }]));
    await cluster.until(() => b.names().includes('first'), 'b has it');
    cluster.hub.partition(b.peerId, intruder.peerId);
    cluster.hub.heal(a.peerId, intruder.peerId);
    intruder.network.gossip.publish('batches', intruder.batch([{ name: 'second', key: testKey('second') }]));
    await cluster.time.advance(20);
    a.trust.change([b.peerId]);
    cluster.hub.heal(a.peerId, b.peerId);
    await cluster.until(() => a.names().includes('first'), 'a has by b what b took', 8_000);
    await cluster.time.advance(2_000);
    t.strictSame(a.names(), ['first']);
    await cluster.stop();
  },
);

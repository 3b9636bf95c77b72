import { create } from '@bufbuild/protobuf';
import t from 'tap';
import { GetClockRequestSchema } from '../../../gen/pinfold/peer/v1/service_pb.ts';
import { clockEntry } from '../../../src/consensus/crdt/codec/clock-entries.ts';
import { decodeReplicaRow } from '../../../src/consensus/crdt/state/replica-row.ts';
import { replicasTable } from '../../../src/consensus/crdt/tables.ts';
import { parsePeerId } from '../../../src/model/peer-id.ts';
import type { NameTable } from '../../../src/pinset/pinset.ts';
import { tableSets } from '../../../src/pinset/tables.ts';
import { CraftedAuthor, stranger, usedUp } from '../../support/crafted-author.ts';
import { pinOp, TestCluster, testKey, testSigner } from '../../support/crdt-peers.ts';

// What others sign, however mad, is refused by name, costs no more than itself, and does not hold up those who behave.

t.test('tables full of names that no operation uses leave no trace', async (t) => {
  const cluster = new TestCluster();
  const a = await cluster.add({ name: 'a' });
  const network = await stranger(cluster);
  const mad = new CraftedAuthor('x');
  const rids = Array.from({ length: 1_000 }, (_, i) => Buffer.from(`unknown rid ${String(i).padStart(4, '0')}`));
  const peers = [parsePeerId(testSigner('unknown').peerId)];
  network.gossip.publish('batches', mad.batch([{ name: 'one' }], { rids, peers }));
  network.gossip.publish('batches', mad.batch([{ sees: [0, 1], name: 'two' }], { rids, peers }));
  await cluster.time.advance(1_000);
  t.strictSame(a.names(), ['two']);
  t.equal(a.pinset.names.peers.find(testSigner('unknown').peerId), undefined);
  t.equal(a.pinset.names.replicas.find(rids[5] as Uint8Array), undefined);
  await cluster.stop();
});

t.test('a store that has no number left for a name refuses that batch, and takes the next', async (t) => {
  for (const table of ['namespaces', 'replicas'] as const) {
    const cluster = new TestCluster();
    const a = await cluster.add({ name: 'a' });
    const { names } = a.pinset;
    usedUp(names[table] as NameTable<string | Uint8Array>);
    const network = await stranger(cluster);
    const [bad, good] = [new CraftedAuthor('x'), new CraftedAuthor(table === 'replicas' ? 'x' : 'y')];
    network.gossip.publish('batches', bad.batch([{ key: testKey('bad', 'new') }]));
    network.gossip.publish('batches', good.batch([{ key: testKey('good') }]));
    await cluster.time.advance(1_000);
    t.equal(a.pinset.get(testKey('bad', 'new')), undefined, table);
    t.equal(a.consensus.status().alerts.length, 1, table);
    if (table !== 'replicas') t.ok(a.pinset.get(testKey('good')), table);
    t.equal((await a.one(pinOp('own'))).ok, true, table);
    await cluster.stop();
  }
});

t.test('a clock that lies of another history raises an alert, and cuts nobody off', async (t) => {
  const cluster = new TestCluster();
  const a = await cluster.add({ name: 'a' });
  const b = await cluster.add({ name: 'b' });
  await cluster.until(() => b.consensus.status().phase === 'ready', 'ready', 5_000);
  await b.one(pinOp(1));
  await cluster.until(() => a.pinset.count() === 1, 'a has it');
  const network = await stranger(cluster);
  await cluster.time.advance(100);
  const entries = [...b.storage.read.range(replicasTable)].map(({ value }) => decodeReplicaRow(value));
  const clock = entries.map(({ rid, clock: sequence }) => clockEntry(rid, sequence, Buffer.alloc(8, 'lie')));
  const request = create(GetClockRequestSchema, { clock });
  const signal = new AbortController().signal;
  const told = (async () => {
    for await (const _ of network.rpc.call(a.peerId, 'getClock', [request], { signal }));
  })();
  await cluster.time.advance(100);
  await told;
  t.match(a.consensus.status().alerts, [{ kind: 'FORK', peerId: b.peerId }]);
  await b.one(pinOp(2));
  await cluster.until(() => a.pinset.count() === 2, 'b is heard as ever', 30_000);
  await cluster.stop();
});

t.test('a damaged row stops those who write to it, and nobody else', async (t) => {
  const cluster = new TestCluster();
  const a = await cluster.add({ name: 'a' });
  await a.one(pinOp('damaged'));
  a.storage.transaction((tx) => tx.put(tableSets.a.pins, testKey('damaged'), Buffer.from('no row')));
  const network = await stranger(cluster);
  const [one, two, three] = [new CraftedAuthor('x'), new CraftedAuthor('y'), new CraftedAuthor('z')];
  network.gossip.publish('batches', one.batch([{ key: testKey(1) }]));
  network.gossip.publish('batches', two.batch([{ key: testKey('damaged') }]));
  network.gossip.publish('batches', three.batch([{ key: testKey(3) }]));
  network.gossip.publish('batches', one.batch([{ key: testKey(4) }]));
  await cluster.time.advance(1_000);
  for (const name of [1, 3, 4]) t.ok(a.pinset.get(testKey(name)), `${name}`);
  t.equal((await a.one(pinOp('own'))).ok, true);
  await cluster.stop();
});

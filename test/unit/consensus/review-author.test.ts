import t from 'tap';
import type { Outcome } from '../../../src/consensus/consensus.ts';
import { CraftedAuthor, stranger } from '../../support/crafted-author.ts';
import { pinOp, TestCluster, type TestPeer, testKey, unpinOp } from '../../support/crdt-peers.ts';

// Nothing that one peer takes from a user, or has taken from another peer, may lead to a batch that no peer would take: its author
// would be stuck behind it for ever, with all it acknowledged afterwards.

function code(outcome: Outcome | undefined): string {
  if (outcome === undefined) return 'none';
  return outcome.ok ? 'ok' : outcome.error.code;
}

async function two(): Promise<{ cluster: TestCluster; a: TestPeer; b: TestPeer }> {
  const cluster = new TestCluster();
  const [a, b] = [await cluster.add({ name: 'a' }), await cluster.add({ name: 'b' })];
  await cluster.until(() => [a, b].every(({ consensus }) => consensus.status().phase === 'ready'), 'ready', 5_000);
  return { cluster, a, b };
}

/** What a writes afterwards still comes to b. */
async function stillHeard({ cluster, a, b }: Awaited<ReturnType<typeof two>>): Promise<boolean> {
  await a.one(pinOp('afterwards'));
  await cluster.time.advance(30_000);
  return b.pinset.get(testKey('afterwards')) !== undefined && a.root() === b.root();
}

t.test('fields that are right, and whose bytes are not, are refused', async (t) => {
  const world = await two();
  const cases: Parameters<typeof pinOp>[1][] = [
    // Different as texts, the same once they are UTF-8.
    {
      metadata: [
        ['a\ud800', '1'],
        ['a\ud801', '2'],
      ],
    },
    { replicationMin: 1, replicationMax: 2 ** 31 },
    { expiresMs: 2 ** 60 },
  ];
  for (const fields of cases) t.equal(code(await world.a.one(pinOp('x', fields))), 'INVALID_ARGUMENT');
  t.ok(await stillHeard(world));
  await world.cluster.stop();
});

t.test('a peer named twice among the allocations is refused', async (t) => {
  const world = await two();
  const { a, b } = world;
  t.equal(code(await a.one(pinOp('x', {}, [b.peerId, b.peerId]))), 'INVALID_ARGUMENT');
  await a.one(pinOp('y'));
  const basis = a.pinset.get(testKey('y'))?.etag as Uint8Array;
  const amend = (allocations: string[]) => a.one({ kind: 'amend', key: testKey('y'), basis, allocations });
  t.equal(code(await amend([b.peerId, b.peerId])), 'INVALID_ARGUMENT');
  t.equal(code(await amend(['not a peer'])), 'INVALID_ARGUMENT');
  t.ok(await stillHeard(world));
  await world.cluster.stop();
});

t.test('a stamp of the far future stays with its key (5.1)', async (t) => {
  const world = await two();
  const { cluster, a } = world;
  const network = await stranger(cluster);
  network.gossip.publish('batches', new CraftedAuthor('x').batch([{ stamp: Number.MAX_SAFE_INTEGER - 1 }]));
  await cluster.time.advance(1_000);
  const others = new CraftedAuthor('y').batch([{ key: testKey('spent'), stamp: Number.MAX_SAFE_INTEGER }]);
  network.gossip.publish('batches', others);
  await cluster.time.advance(1_000);
  t.equal(code(await a.one(pinOp('k'))), 'ok', 'above it there is one stamp left');
  t.equal(code(await a.one(pinOp('other'))), 'ok', 'other keys have nothing to do with it');
  t.equal(code(await a.one(pinOp('k'))), 'LIMIT_REACHED');
  t.equal(code(await a.one(pinOp('spent'))), 'LIMIT_REACHED');
  t.equal(code(await a.one(unpinOp('k'))), 'ok', 'it can be unpinned');
  t.equal(code(await a.one(pinOp('k'))), 'ok', 'and is as any other then');
  t.ok(await stillHeard(world));
  await a.one(pinOp('late', { name: 'a' }));
  await cluster.time.advance(5_000);
  await world.b.one(pinOp('late', { name: 'b' }));
  await cluster.time.advance(5_000);
  t.equal(a.pinset.get(testKey('late'))?.pin.name, 'b');
  await cluster.stop();
});

t.test('more concurrent versions of a pin than an operation can see', async (t) => {
  const world = await two();
  const { cluster, a } = world;
  const network = await stranger(cluster);
  const mad = new CraftedAuthor('x');
  for (let i = 0; i < 10; i++) {
    network.gossip.publish('batches', mad.batch(Array.from({ length: 450 }, () => ({}))));
    await cluster.time.advance(1_000);
  }
  t.equal(a.pinset.count(), 1);
  t.equal(code(await a.one(unpinOp('k'))), 'LIMIT_REACHED');
  t.equal(code(await a.one(pinOp('k'))), 'LIMIT_REACHED');
  t.ok(await stillHeard(world));
  await cluster.stop();
});

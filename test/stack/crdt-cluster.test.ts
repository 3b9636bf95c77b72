import t from 'tap';
import { isPinfoldError } from '../../src/model/errors.ts';
import { pinOp, TestCluster, unpinOp } from '../support/crdt-peers.ts';

t.test('a fresh cluster of three is ready at once, and what one writes the others have', async (t) => {
  const cluster = new TestCluster();
  const [a, b, c] = [
    await cluster.add({ name: 'a' }),
    await cluster.add({ name: 'b' }),
    await cluster.add({ name: 'c' }),
  ];
  await cluster.until(
    () => [a, b, c].every(({ consensus }) => consensus.status().phase === 'ready'),
    'all ready',
    5_000,
  );
  const outcome = await a.one(pinOp(1, { name: 'one' }, [b.peerId]));
  t.equal(outcome.ok, true);
  await cluster.until(() => b.pinset.count() === 1 && c.pinset.count() === 1, 'the pin is everywhere', 5_000);
  t.strictSame(c.names(), ['one']);
  if (outcome.ok) {
    t.strictSame(outcome.pin?.pin.allocations, [b.peerId]);
    t.ok(b.consensus.covers(outcome.position), 'its position is covered there');
  }
  t.equal((await b.one(unpinOp(1))).ok, true);
  await cluster.until(() => a.pinset.count() === 0 && c.pinset.count() === 0, 'the unpin is everywhere', 5_000);
  t.equal(a.root(), b.root());
  t.equal(a.root(), c.root());
  await cluster.stop();
});

t.test('a peer that comes late joins through a shadow, and takes no writes until then', async (t) => {
  const cluster = new TestCluster(1, undefined, { delayMs: () => 2 });
  const a = await cluster.add({ name: 'a' });
  const requests = Array.from({ length: 3_000 }, (_, i) => ({ ops: [pinOp(i, { name: `n${i}` })] }));
  await a.commit(...requests);
  const b = await cluster.add({ name: 'b' });
  const refused = await b.one(pinOp('x'));
  t.ok(!refused.ok && isPinfoldError(refused.error, 'JOINING'));
  await cluster.until(() => b.consensus.status().phase === 'ready', 'joined');
  t.equal(b.pinset.count(), 3_000);
  t.equal(b.root(), a.root());
  const written = await b.one(pinOp('y'));
  t.equal(written.ok, true);
  await cluster.until(() => a.pinset.count() === 3_001, 'a has what b wrote', 5_000);
  t.equal(b.root(), a.root());
  await cluster.stop();
});

t.test('a partition heals: both sides wrote, and end with the same pins', async (t) => {
  const cluster = new TestCluster();
  const [a, b] = [await cluster.add({ name: 'a' }), await cluster.add({ name: 'b' })];
  await cluster.until(() => b.consensus.status().phase === 'ready', 'ready');
  cluster.hub.partition(a.peerId, b.peerId);
  await a.one(pinOp('k', { name: 'of a' }));
  await b.one(pinOp('k', { name: 'of b' }));
  for (let i = 0; i < 20; i++) await b.one(pinOp(i));
  cluster.hub.heal(a.peerId, b.peerId);
  await cluster.until(() => a.root() === b.root() && a.pinset.count() === 21, 'equal digests');
  t.strictSame(a.names().filter(Boolean), b.names().filter(Boolean), 'the same one is shown');
  await cluster.stop();
});

import t from 'tap';
import { CLOCK_ENTRIES_MAX } from '../../src/consensus/crdt/constants.ts';
import { CraftedAuthor, stranger } from '../support/crafted-author.ts';
import { pinOp, TestCluster, testKey } from '../support/crdt-peers.ts';

t.test('further replicas than a clock can have are refused, with an alert; the others go on', async (t) => {
  const cluster = new TestCluster();
  const a = await cluster.add({ name: 'a' });
  await a.one(pinOp('a was here'));
  const c = await cluster.add({ name: 'c' });
  await cluster.until(() => c.consensus.status().phase === 'ready', 'c has joined');
  const network = await stranger(cluster);
  const authors = Array.from({ length: CLOCK_ENTRIES_MAX + 5 }, (_, i) => new CraftedAuthor('x', i));
  for (const [i, author] of authors.entries()) {
    network.gossip.publish('batches', author.batch([{ key: testKey(i) }]));
    if (i % 200 === 199) await cluster.time.advance(500); // No faster than one forwarder is heard.
  }
  await cluster.time.advance(1_000);
  t.equal(a.pinset.count(), CLOCK_ENTRIES_MAX, 'one was there before');
  t.equal(c.pinset.count(), CLOCK_ENTRIES_MAX, 'the same at every peer');
  const late = await c.one(pinOp('late'));
  t.equal(late.ok ? 'ok' : late.error.code, 'LIMIT_REACHED', 'who has not written yet has no place');
  t.ok(
    a.consensus.status().alerts.some(({ kind, peerId }) => kind === 'CLOCK_ENTRIES' && peerId === authors[0]?.peerId),
  );
  network.gossip.publish('batches', (authors[0] as CraftedAuthor).batch([{ key: testKey('goes on') }]));
  t.equal((await a.one(pinOp('own'))).ok, true);
  await cluster.until(
    () => [a, c].every(({ pinset }) => pinset.get(testKey('own')) && pinset.get(testKey('goes on'))),
    'known replicas are heard as ever',
  );
  await cluster.stop();
});

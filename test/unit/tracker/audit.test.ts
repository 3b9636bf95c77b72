import t from 'tap';
import { byteString } from '../../../src/model/bytes.ts';
import { cid } from '../../suites/pinset-world.ts';
import { TrackerWorld } from './tracker-world.ts';

const [a, b] = [0, 1].map((i) => cid(2 * i)) as [Uint8Array, Uint8Array];

t.test('the audit finds what the node has lost, and leaves foreign pins alone', async (t) => {
  const world = await TrackerWorld.open({ options: { auditIntervalMs: 10_000 } });
  await world.tracker.start();
  await world.pin([a, b]);
  await world.until('pinned', () => world.tracker.counts().pinned === 2);
  world.node.records.delete(byteString(a));
  const foreign = cid(100);
  world.node.records.set(byteString(foreign), { cid: foreign, mode: 'recursive' });
  const revision = world.tracker.feed.revision;
  await world.until('repaired', () => world.node.mode(a) === 'recursive', 15_000);
  t.ok(world.tracker.feed.revision > revision);
  t.equal(world.node.mode(foreign), 'recursive');
  await world.end();
});

t.test('a node that was away is audited when it is back, long before the interval is over', async (t) => {
  const world = await TrackerWorld.open({ options: { auditIntervalMs: 86_400_000 } });
  await world.tracker.start();
  await world.pin([a, b]);
  await world.until('pinned', () => world.tracker.counts().pinned === 2);
  world.node.records.delete(byteString(a));
  await world.time.advance(60_000);
  t.equal(world.node.mode(a), 'none', 'nobody has looked');
  world.tracker.auditSoon();
  await world.until('repaired', () => world.node.mode(a) === 'recursive');
  await world.end();
});

t.test('an audit that the node broke off is made again soon', async (t) => {
  const world = await TrackerWorld.open({ options: { auditIntervalMs: 86_400_000 } });
  await world.tracker.start();
  await world.pin([a, b]);
  await world.until('pinned', () => world.tracker.counts().pinned === 2);
  world.node.records.delete(byteString(a));
  world.node.breaksOff = true;
  world.tracker.auditSoon();
  await world.time.advance(1_000);
  world.node.breaksOff = false;
  t.equal(world.node.mode(a), 'none');
  await world.until('repaired', () => world.node.mode(a) === 'recursive', 900_000);
  await world.end();
});

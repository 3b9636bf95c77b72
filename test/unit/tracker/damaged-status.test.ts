import t from 'tap';
import { pinKeyPrefix } from '../../../src/model/pin-key.ts';
import { byStatusTable, statusTable } from '../../../src/tracker/tables.ts';
import { cid } from '../../suites/pinset-world.ts';
import { TrackerWorld } from './tracker-world.ts';

const [a, b, c] = [0, 1, 2].map((i) => cid(2 * i)) as [Uint8Array, Uint8Array, Uint8Array];

/** The disk has changed a byte of the status row of that wish. */
function damage({ pinsets }: TrackerWorld, wish: Uint8Array): Promise<void> {
  return pinsets.storage.transaction((tx) => tx.put(statusTable, wish, Buffer.of(0xff))).flushed;
}

t.test('a damaged status row is told as waiting, and made anew; nothing else is held up', async (t) => {
  const world = await TrackerWorld.open();
  await world.tracker.start();
  await world.pin([a, b]);
  await world.until('pinned', () => world.tracker.counts().pinned === 2);
  await damage(world, a);
  t.equal(world.status(a).status, 'pin_queued');
  t.equal(world.tracker.listAll(undefined, 10).length, 2);
  await world.pin([c]);
  await world.until('the others go on', () => world.status(c).status === 'pinned');
  await world.until('it is known again', () => world.status(a).status === 'pinned');
  await world.end();
});

t.test('what nobody wants any more goes from the node, though its row is damaged', async (t) => {
  const world = await TrackerWorld.open();
  await world.tracker.start();
  await world.pin([a]);
  await world.until('pinned', () => world.status(a).status === 'pinned');
  await damage(world, a);
  await world.unpin([a]);
  await world.until('gone', () => world.node.mode(a) === 'none');
  await world.until('told', () => world.status(a).status !== 'unpin_queued');
  t.equal(world.status(a).status, 'unpinned');
  await world.end();
});

t.test('the audit comes upon a damaged row that nobody asks for', async (t) => {
  const world = await TrackerWorld.open({ options: { auditIntervalMs: 10_000 } });
  await world.tracker.start();
  await world.pin([a]);
  await world.until('pinned', () => world.status(a).status === 'pinned');
  await damage(world, a);
  const asked = world.node.calls.length;
  await world.until('asked again', () => world.node.calls.length > asked, 15_000);
  t.equal(world.status(a).status, 'pinned');
  await world.end();
});

t.test('a damaged row of a failed pin leaves nothing in the index by status', async (t) => {
  const world = await TrackerWorld.open({ options: { retryBaseMs: 60_000 } });
  await world.tracker.start();
  world.node.answer = () => ({ error: 'NO_PROVIDER' });
  await world.pin([a]);
  await world.until('failed', () => world.status(a).status === 'pin_error');
  world.node.answer = () => ({});
  await damage(world, a);
  t.equal(world.status(a).status, 'pin_queued');
  await world.until('pinned', () => world.status(a).status === 'pinned');
  const left = Array.from(world.pinsets.storage.read.range(byStatusTable), ({ key }) => key);
  t.same(
    left.filter((key) => Buffer.from(key.subarray(1)).equals(pinKeyPrefix(a))),
    [],
  );
  await world.end();
});

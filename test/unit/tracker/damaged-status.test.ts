import t from 'tap';
import { pinKeyPrefix } from '../../../src/model/pin-key.ts';
import type { TableName } from '../../../src/storage/storage.ts';
import type { TrackerOptions } from '../../../src/tracker/options.ts';
import {
  byStatusTable,
  intakeTable,
  numberKey,
  positionKey,
  stateTable,
  statusFeedTable,
  statusStateKey,
  statusTable,
} from '../../../src/tracker/tables.ts';
import { cid } from '../../suites/pinset-world.ts';
import { TrackerWorld } from './tracker-world.ts';

const [a, b, c] = [0, 1, 2].map((i) => cid(2 * i)) as [Uint8Array, Uint8Array, Uint8Array];

/** The disk has changed a row of the tracker. */
function garble({ pinsets }: TrackerWorld, table: TableName, key: Uint8Array): Promise<void> {
  return pinsets.storage.transaction((tx) => tx.put(table, key, Buffer.of(0xff))).flushed;
}

async function pinnedWorld(wishes: Uint8Array[], options: Partial<TrackerOptions> = {}): Promise<TrackerWorld> {
  const world = await TrackerWorld.open({ options });
  await world.tracker.start();
  await world.pin(wishes);
  await world.until('pinned', () => world.tracker.counts().pinned === wishes.length);
  return world;
}

t.test('a damaged status row is told as waiting, and made anew; nothing else is held up', async (t) => {
  const world = await pinnedWorld([a, b]);
  await garble(world, statusTable, a);
  t.equal(world.status(a).status, 'pin_queued');
  t.equal(world.tracker.listAll(undefined, 10).length, 2);
  await world.pin([c]);
  await world.until('the others go on', () => world.status(c).status === 'pinned');
  await world.until('it is known again', () => world.status(a).status === 'pinned');
  await world.end();
});

t.test('what nobody wants any more goes from the node, though its row is damaged', async (t) => {
  const world = await pinnedWorld([a]);
  await garble(world, statusTable, a);
  await world.unpin([a]);
  await world.until('gone', () => world.node.mode(a) === 'none');
  await world.until('told', () => world.status(a).status !== 'unpin_queued');
  t.equal(world.status(a).status, 'unpinned');
  await world.end();
});

t.test('the audit comes upon a damaged row that nobody asks for', async (t) => {
  const world = await pinnedWorld([a], { auditIntervalMs: 10_000 });
  await garble(world, statusTable, a);
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
  await garble(world, statusTable, a);
  t.equal(world.status(a).status, 'pin_queued');
  await world.until('pinned', () => world.status(a).status === 'pinned');
  const left = Array.from(world.pinsets.storage.read.range(byStatusTable), ({ key }) => key);
  t.same(
    left.filter((key) => Buffer.from(key.subarray(1)).equals(pinKeyPrefix(a))),
    [],
  );
  await world.end();
});

t.test('the state of the index is damaged: rows are counted anew, and watchers begin anew', async (t) => {
  const world = await pinnedWorld([a, b]);
  const { incarnation, revision } = world.tracker.feed;
  await garble(world, stateTable, statusStateKey);
  await world.crash();
  t.match(world.tracker.counts(), { pinned: 2, failed: 0 });
  t.notSame(world.tracker.feed.incarnation, incarnation);
  t.ok(world.tracker.feed.revision >= revision, 'rows of the feed are not written over');
  await world.pin([c]);
  await world.until('it goes on', () => world.tracker.counts().pinned === 3);
  await world.end();
});

t.test('how far the pinset was looked at is damaged: all of it is looked at', async (t) => {
  const world = await pinnedWorld([a]);
  await world.crash(undefined, async () => {
    await world.pin([b]);
    await garble(world, stateTable, positionKey);
  });
  await world.until('what came meanwhile is pinned', () => world.status(b).status === 'pinned');
  t.equal(world.status(a).status, 'pinned');
  await world.end();
});

for (const [what, isWhileRunning, isGone] of [
  ['a start comes upon a damaged note of work', false, false],
  ['a running tracker comes upon a damaged note of work', true, false],
  ['a note of work is gone', true, true],
] as const) {
  t.test(`${what}: what it named is found again`, async () => {
    const world = await TrackerWorld.open({ windowWishesMax: 1 });
    world.node.answer = () => ({ afterMs: 1_000 });
    await world.tracker.start();
    await world.pin([a]);
    await world.until('under way', () => world.node.calls.length > 0);
    await world.pin([b]);
    await world.pin([c]);
    const noted = () => Array.from(world.pinsets.storage.read.range(intakeTable));
    await world.until('all are noted', () => noted().length === 3);
    const key = noted()[1]?.key as Uint8Array;
    if (isGone) await world.pinsets.storage.transaction((tx) => tx.remove(intakeTable, key)).flushed;
    else await garble(world, intakeTable, key);
    if (!isWhileRunning) await world.crash();
    await world.until('all are pinned', () => world.tracker.counts().pinned === 3);
    await world.until('no note is left', () => noted().length === 0);
    await world.end();
  });
}

t.test('a row of the status feed is damaged: who reads over it begins anew, and it is trimmed', async (t) => {
  const world = await pinnedWorld([a]);
  const { feed } = world.tracker;
  const { revision } = feed;
  await garble(world, statusFeedTable, numberKey(revision));
  t.equal(feed.read(revision - 1, 10), 'gone');
  await world.pin([b]);
  await world.until('it goes on', () => world.status(b).status === 'pinned');
  t.match(feed.read(revision, 10), { rows: [{ status: 'pinned' }] });
  await world.end();
});

import t from 'tap';
import { byteString } from '../../../src/model/bytes.ts';
import { cid } from '../../suites/pinset-world.ts';
import { TrackerWorld } from './tracker-world.ts';

// One namespace has written very much. What another writes then is done in its turn, wherever that much waits.

const big = Array.from({ length: 2_000 }, (_, i) => cid(2 * i));
const small = Array.from({ length: 20 }, (_, i) => cid(100_000 + 2 * i));

/** How many pins of the big namespace had begun when that one did. */
function bigBefore(world: TrackerWorld, from: number, wish: Uint8Array): number {
  const calls = world.node.calls.slice(from).map((call) => byteString(call.cid));
  const names = new Set(big.map(byteString));
  return calls.slice(0, calls.indexOf(byteString(wish))).filter((name) => names.has(name)).length;
}

for (const windowWishesMax of [100, 4_096]) {
  const where = windowWishesMax < big.length ? 'on the disk' : 'in memory';
  t.test(`a namespace with few pins does not wait for one with many, which wait ${where}`, async (t) => {
    const world = await TrackerWorld.open({ windowWishesMax, options: { concurrentPinsMax: 2 } });
    world.node.answer = () => ({ afterMs: 10 });
    await world.tracker.start();
    await world.pin(big, { namespace: 'big' });
    await world.until('it has begun', () => world.node.calls.length > 10);
    const from = world.node.calls.length;
    await world.pin(small, { namespace: 'small' });
    t.equal(world.status(small[0] as Uint8Array).status, 'pin_queued');
    t.ok(world.tracker.counts().queued > 1_900);
    await world.until(
      'the few are pinned',
      () => small.every((each) => world.status(each).status === 'pinned'),
      60_000,
    );
    const before = bigBefore(world, from, small.at(-1) as Uint8Array);
    // Those in memory that were let in before, and then one each.
    t.ok(
      before <= small.length + 10 + (windowWishesMax === 100 ? 400 : 0),
      `${before} others went before the last of the few`,
    );
    await world.until('all are pinned', () => world.tracker.counts().pinned === big.length + small.length, 60_000);
    t.equal(world.node.calls.length, big.length + small.length, 'each once');
    t.match(world.tracker.counts(), { queued: 0, failed: 0 });
    await world.end();
  });
}

t.test('what waits on the disk is taken up after a crash, in turns, and was not forgotten at the node', async () => {
  const world = await TrackerWorld.open({ windowWishesMax: 50, options: { concurrentPinsMax: 2 } });
  world.node.answer = () => ({ afterMs: 10 });
  await world.tracker.start();
  await world.pin(big, { namespace: 'big' });
  await world.pin(small, { namespace: 'small' });
  await world.until('some are pinned', () => world.tracker.counts().pinned > 100);
  await world.crash();
  await world.unpin(big.slice(0, 1_000), 'big');
  await world.until('the few are pinned', () => small.every((each) => world.status(each).status === 'pinned'), 60_000);
  await world.until('the others are', () => world.tracker.counts().pinned === 1_000 + small.length, 60_000);
  await world.until('and nothing else is held', () => world.node.records.size === 1_000 + small.length, 60_000);
  await world.end();
});

t.test('what waits is told from what was in memory when it was written between', async (t) => {
  const world = await TrackerWorld.open({ windowWishesMax: 1, options: { concurrentPinsMax: 10 } });
  world.node.answer = () => ({ afterMs: 1_000 });
  await world.tracker.start();
  const [first, second, ...slow] = small as [Uint8Array, Uint8Array, ...Uint8Array[]];
  await world.pin(slow);
  await world.until('they are under way', () => world.node.calls.length === 10);
  await world.pin([first]);
  await world.time.advance(50);
  // What is under way is changed, and what finds no room comes with it.
  await world.pin([...slow, second], { origins: ['/o/1'] });
  await world.until('all are pinned', () => small.every((each) => world.status(each).status === 'pinned'), 60_000);
  t.match(world.tracker.counts(), { pinned: small.length, queued: 0 });
  await world.end();
});

t.test('a namespace of which one pin has failed does not wait for the retries of one of which many have', async (t) => {
  const options = { concurrentPinsMax: 2, retryBaseMs: 1_000, retryMaxMs: 1_000 };
  const world = await TrackerWorld.open({ options });
  world.node.answer = () => ({ error: 'NO_PROVIDER' as const });
  await world.tracker.start();
  const one = small[0] as Uint8Array;
  await world.pin(big, { namespace: 'big' });
  await world.pin([one], { namespace: 'small' });
  await world.until('all have failed', () => world.tracker.counts().failed === big.length + 1);
  world.node.answer = () => ({ afterMs: 100, error: 'NO_PROVIDER' });
  const from = world.node.calls.length;
  await world.until('it is tried again', () => world.node.calls.length > from && world.node.attempts(one) > 1, 60_000);
  const before = bigBefore(world, from, one);
  t.ok(before < 150, `${before} others went before, of ${big.length}`);
  await world.end();
});

import t from 'tap';
import { cid } from '../../suites/pinset-world.ts';
import { other, self, TrackerWorld } from './tracker-world.ts';

const [a, b, c, d] = [0, 2, 4, 6].map(cid) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];

t.test('a wish is unread, then runs or waits in its lane behind others, then there is nothing to do', async (t) => {
  const world = await TrackerWorld.open({ options: { concurrentPinsMax: 1 } });
  const { tracker } = world;
  world.node.answer = () => ({ afterMs: 1_000 });
  await world.pin([a, b, c]);
  t.match(tracker.placeOf(a), { stage: 'unread', lane: undefined, ahead: 3, underWay: 0, underWayMax: 1 });
  await tracker.start();
  await world.until('one runs', () => tracker.placeOf(a).stage === 'running' || tracker.placeOf(b).stage === 'running');
  const places = [a, b, c].map((wish) => tracker.placeOf(wish)).sort((x, y) => x.ahead - y.ahead);
  t.match(
    places.find(({ stage }) => stage === 'running'),
    { lane: 'fresh', ahead: 0, underWay: 1, underWayMax: 1 },
  );
  const queued = places.filter(({ stage }) => stage === 'queued');
  t.match(queued, [
    { lane: 'fresh', ahead: 0 },
    { lane: 'fresh', ahead: 1 },
  ]);
  await world.until('pinned', () => tracker.counts().pinned === 3);
  t.match(tracker.placeOf(a), { stage: 'idle', lane: undefined, ahead: 0, underWay: 0 });
  t.equal(tracker.placeOf(d).stage, 'idle', 'what nobody claims');
  await world.end();
});

t.test('what has failed waits for its time, what is to leave too', async (t) => {
  const world = await TrackerWorld.open({ options: { concurrentPinsMax: 4 } });
  const { tracker } = world;
  world.node.answer = () => ({ error: 'NO_PROVIDER' });
  await tracker.start();
  await world.pin([a]);
  await world.until('failed', () => world.status(a).status === 'pin_error');
  t.match(tracker.placeOf(a), { stage: 'later', lane: undefined, underWayMax: 4, isNodeDown: false });
  world.node.answer = () => ({ afterMs: 1_000 });
  await world.until('tried again', () => tracker.placeOf(a).stage === 'running', 60_000);
  t.equal(tracker.placeOf(a).lane, 'retry');
  world.node.answer = () => ({});
  await world.pin([b], { allocations: [self] });
  await world.until('pinned', () => world.status(b).status === 'pinned');
  await world.pin([b], { allocations: [other] });
  await world.until('leaving', () => world.status(b).status === 'unpin_queued');
  await world.until('taken', () => tracker.placeOf(b).stage === 'later');
  t.equal(tracker.placeOf(b).underWayMax, 2, 'it is to be unpinned');
  await world.end();
});

t.test('with a node that is down everything waits for it', async (t) => {
  const world = await TrackerWorld.open({ options: { concurrentPinsMax: 1 } });
  const { tracker } = world;
  world.node.isDown = true;
  await tracker.start();
  await world.pin([a, b]);
  await world.until('noticed', () => tracker.placeOf(a).isNodeDown);
  await world.time.advance(100);
  t.same([a, b].map((wish) => tracker.placeOf(wish).stage).sort(), ['due', 'queued'], 'one was tried, one was not');
  world.node.isDown = false;
  await world.until('pinned', () => tracker.counts().pinned === 2, 60_000);
  t.equal(tracker.placeOf(a).isNodeDown, false);
  await world.end();
});

t.test('what waits among the retries goes to the front when somebody asks for it', async (t) => {
  const world = await TrackerWorld.open({ options: { concurrentPinsMax: 1, retryBaseMs: 1_000, retryMaxMs: 1_000 } });
  const { tracker } = world;
  world.node.answer = () => ({ error: 'NO_PROVIDER' });
  await tracker.start();
  const wishes = [a, b, c, d];
  await world.pin(wishes);
  await world.until('all failed', () => tracker.counts().failed === 4);
  world.node.answer = () => ({ afterMs: 10_000 });
  const last = () => wishes.find((wish) => tracker.placeOf(wish).ahead === 2);
  await world.until('one is tried again, three wait', () => last() !== undefined, 20_000);
  const asked = last() as Uint8Array;
  t.match(tracker.placeOf(asked), { stage: 'queued', lane: 'retry' });
  const recovering = (async () => {
    for await (const _ of tracker.recover([asked], { signal: new AbortController().signal }));
  })();
  await world.until('moved', () => tracker.placeOf(asked).lane === 'front');
  await recovering;
  t.match(tracker.placeOf(asked), { stage: 'queued', ahead: 0 });
  const attempts = () => world.node.calls.length;
  const before = attempts();
  await world.until('the next is tried', () => attempts() > before, 20_000);
  t.same(world.node.calls.at(-1)?.cid, asked);
  await world.end();
});

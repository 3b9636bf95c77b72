import { isDeepStrictEqual } from 'node:util';
import t from 'tap';
import { toV0 } from '../../../src/model/cid.ts';
import { cid } from '../../suites/pinset-world.ts';
import { fc } from '../../support/fast-check.ts';
import { other, self, TrackerWorld } from './tracker-world.ts';

const wishes = 5;
const namespaces = ['default', 'n'];

type Step =
  | {
      kind: 'pin';
      wish: number;
      isV0: boolean;
      namespace: number;
      mode: 'recursive' | 'direct';
      where: 'all' | 'self' | 'other';
    }
  | { kind: 'unpin'; wish: number; isV0: boolean; namespace: number }
  | { kind: 'node'; latencyMs: number; failing: number; isDown: boolean }
  | { kind: 'pass'; ms: number }
  /** After the crash, and before the tracker looks, all claims go. */
  | { kind: 'crash'; isEmptied: boolean }
  | { kind: 'restart' | 'recover' };

const wish = fc.nat({ max: wishes - 1 });
const namespace = fc.nat({ max: namespaces.length - 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('pin' as const),
      wish,
      isV0: fc.boolean(),
      namespace,
      mode: fc.constantFrom('recursive' as const, 'direct' as const),
      where: fc.constantFrom('all' as const, 'self' as const, 'other' as const),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('unpin' as const), wish, isV0: fc.boolean(), namespace }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('node' as const),
      latencyMs: fc.constantFrom(0, 1, 20, 300),
      failing: fc.nat({ max: 4 }),
      isDown: fc.constantFrom(false, false, false, true),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(0, 1, 3, 10, 120, 5000) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('restart' as const, 'recover' as const) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('crash' as const), isEmptied: fc.boolean() }),
  },
);

/** With one, nearly all waits on the disk for its turn. */
const windows = fc.constantFrom(1, 1000);

t.test('whatever happens, the node ends up with what the pinset says', async (t) => {
  let settled = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 40 }),
      fc.nat(),
      windows,
      async (steps, seed, window) => {
        const world = await TrackerWorld.open({
          seed,
          windowWishesMax: window,
          isManual: true,
          options: { retryBaseMs: 200, retryMaxMs: 1000, unpinDelayMs: 3000, pinTimeoutMs: 1000 },
        });
        await world.tracker.start();
        for (const one of steps) {
          await take(world, one);
          listsWhatItSays(world);
        }
        world.node.isDown = false;
        world.node.answer = () => ({});
        world.flushIntervalMs = 20;
        for (let i = 0; i < 750 && problem(world) !== undefined; i++) await world.time.advance(100);
        // And stays so, when the last delays have passed.
        await world.time.advance(4000);
        const wrong = problem(world);
        if (wrong !== undefined) throw new Error(wrong);
        await world.end();
        settled++;
      },
    ),
    { numRuns: Number(process.env.TRACKER_RUNS ?? 100) },
  );
  t.ok(settled >= 100);
});

/** What a listing takes from the rows alone is what is said of each wish by its claims. */
function listsWhatItSays({ tracker }: TrackerWorld): void {
  const indexed = ['pin_error', 'unpin_error', 'pinning', 'unpinning', 'unexpectedly_unpinned'] as const;
  for (const listed of tracker.listIndexed(indexed, undefined, 100)) {
    const [said] = tracker.statuses([listed.cid]);
    if (!isDeepStrictEqual(listed, said))
      throw new Error(`listed ${JSON.stringify(listed)}, said ${JSON.stringify(said)}`);
  }
}

function problem(world: TrackerWorld): string | undefined {
  for (let i = 0; i < wishes; i++) {
    const { mode, status } = expected(world, cid(2 * i));
    const said = world.status(cid(2 * i)).status;
    const held = world.node.mode(cid(2 * i));
    if (held !== mode || said !== status) return `wish ${i}: held ${held} for ${mode}, said ${said} for ${status}`;
  }
  const { pinned, queued, failed, pinning } = world.tracker.counts();
  const rows = world.tracker.listAll(undefined, 100).length;
  if (rows !== pinned || queued + failed + pinning !== 0) return 'the counters are wrong';
  return world.node.records.size === pinned ? undefined : 'the node holds more than the index knows';
}

async function take(world: TrackerWorld, one: Step): Promise<void> {
  const { node } = world;
  if (one.kind === 'pin' || one.kind === 'unpin') {
    const v1 = cid(2 * one.wish);
    const cids = [one.isV0 ? (toV0(v1) as Uint8Array) : v1];
    const name = namespaces[one.namespace] as string;
    if (one.kind === 'unpin') return world.unpin(cids, name);
    const allocations = one.where === 'all' ? {} : { allocations: [one.where === 'self' ? self : other] };
    return world.pin(cids, { namespace: name, mode: one.mode, ...allocations });
  }
  if (one.kind === 'node') {
    let calls = 0;
    node.isDown = one.isDown;
    node.answer = () => ({
      afterMs: one.latencyMs,
      ...(one.failing > 0 && ++calls % one.failing === 0 ? { error: 'NO_PROVIDER' as const } : {}),
    });
  }
  if (one.kind === 'pass') await world.time.advance(one.ms);
  if (one.kind === 'crash') await world.crash(undefined, one.isEmptied ? () => unpinAll(world) : undefined);
  if (one.kind === 'restart') await world.restart();
  if (one.kind === 'recover') {
    const recovering = (async () => {
      for await (const _ of world.tracker.recover(undefined, { signal: new AbortController().signal }));
    })();
    // Waits for a flush; nothing depends on it.
    recovering.catch(() => {});
    await world.time.advance(5);
  }
}

async function unpinAll(world: TrackerWorld): Promise<void> {
  const { pins } = world.pinsets.pinset.list({ filter: {}, order: 'key', limit: 100 });
  for (const { pin } of pins) await world.unpin([pin.cid], pin.namespace);
}

function expected(world: TrackerWorld, wishCid: Uint8Array): { mode: string; status: string } {
  const claims = world.pinsets.pinset.claims(wishCid);
  const here = claims.filter(({ pin }) => pin.replicationMin === -1 || pin.allocations.includes(self));
  if (here.length === 0) return { mode: 'none', status: claims.length === 0 ? 'unpinned' : 'remote' };
  return { mode: here.some(({ pin }) => pin.mode === 'recursive') ? 'recursive' : 'direct', status: 'pinned' };
}

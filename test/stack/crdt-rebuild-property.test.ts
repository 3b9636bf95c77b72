import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import t from 'tap';
import { kinds, type Step, World } from '../support/crdt-world.ts';
import { fc } from '../support/fast-check.ts';

// Logs that are cut after a second, partitions longer than that, and rebuilds (4.6, 4.7) under writes, partial flushes and crashes
// of any peer at any moment: the invariants hold at every step, and the healed peers agree. FC_SEED and FC_RUNS repeat or lengthen it.

const numRuns = Number(process.env.FC_RUNS ?? 25);

const crdt = {
  logAgeMinMs: 1_000,
  logAgeMaxMs: 1_000,
  rebuildPatienceMs: 300,
  antiEntropyIntervalMs: 500,
  pullDelayMs: 50,
  followPeersMax: 1,
};

const peer = fc.nat({ max: 2 });
const write = fc.record({
  do: fc.constant('write' as const),
  peer,
  kind: fc.constantFrom(...kinds),
  key: fc.nat({ max: 5 }),
  flush: fc.boolean(),
});
/** Who is cut off from whom, and what is written meanwhile. */
const apart = fc.record({
  pairs: fc.constantFrom(
    [
      [0, 2],
      [1, 2],
    ],
    [
      [0, 1],
      [0, 2],
      [1, 2],
    ],
    [[0, 2]],
  ),
  writes: fc.array(write, { minLength: 2, maxLength: 8 }),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: write },
  {
    weight: 9,
    arbitrary: fc.record({
      do: fc.constantFrom('flush' as const, 'flush' as const, 'commit' as const),
      peer,
      count: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({ do: fc.constant('time' as const), ms: fc.constantFrom(1, 5, 20, 50, 100, 400) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('cut' as const, 'heal' as const), peer, other: peer }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const), peer }) },
);

t.test('cuts, rebuilds, and crashes in the middle of them', { timeout: 600_000 }, async (t) => {
  const marks = new Map<string, number>();
  const count = (name: unknown) => void marks.set(String(name), (marks.get(String(name)) ?? 0) + 1);
  subscribe('pinfold:mark', count);
  await fc.assert(
    fc.asyncProperty(
      fc.integer(),
      fc.array(apart, { minLength: 1, maxLength: 2 }),
      fc.array(step, { minLength: 40, maxLength: 120 }),
      async (seedOfWorld, parts, steps) => {
        const world = new World(seedOfWorld, { delayMsMax: 4, crdt });
        try {
          await world.begin();
          for (let key = 0; key < 6; key++)
            await checked(world, { do: 'write', peer: key, kind: 'pin', key, flush: true });
          await world.pass(2_000);
          const perPart = Math.ceil(steps.length / parts.length);
          for (const [i, { pairs, writes }] of parts.entries()) {
            for (const [one, other] of pairs) await world.run({ do: 'cut', peer: one, other });
            for (const one of writes) await checked(world, { ...one, flush: true });
            await world.pass(3_000);
            for (const [one, other] of pairs) await world.run({ do: 'heal', peer: one, other });
            for (const one of steps.slice(i * perPart, (i + 1) * perPart)) await checked(world, one);
          }
          if (!(await world.healed())) {
            const peers = [...world.cluster.peers.values()];
            throw new Error(`I8: not healed: ${JSON.stringify(peers.map(({ consensus }) => consensus.status()))}`);
          }
          const problems = world.check();
          if (problems.length > 0) throw new Error(`healed: ${problems.join('\n')}`);
        } finally {
          await world.cluster.stop();
        }
      },
    ),
    { numRuns, interruptAfterTimeLimit: 90_000 },
  );
  unsubscribe('pinfold:mark', count);
  for (const [name, times] of [...marks].sort()) if (name.startsWith('crdt ')) t.comment(`${name}: ${times}`);
  t.ok((marks.get('crdt rebuild: swapped') ?? 0) > 0, 'there were rebuilds');
});

async function checked(world: World, step: Step): Promise<void> {
  await world.run(step);
  const problems = world.check();
  if (problems.length > 0) throw new Error(`after ${JSON.stringify(step)}: ${problems.join('\n')}`);
}

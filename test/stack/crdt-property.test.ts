import t from 'tap';
import { kinds, type Step, World } from '../support/crdt-world.ts';
import { fc } from '../support/fast-check.ts';

// Any interleaving of writes, gossip that loses, partitions, partial flushes, crashes and late joins keeps the invariants of
// docs/protocol.md section 9, and ends in equal digests. FC_SEED and FC_RUNS repeat or lengthen it.

const numRuns = Number(process.env.FC_RUNS ?? 25);

const peer = fc.nat({ max: 5 });
const count = fc.integer({ min: 1, max: 4 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      peer,
      kind: fc.constantFrom(...kinds),
      key: fc.nat({ max: 1 }),
      flush: fc.boolean(),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('flush' as const), peer, count }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('commit' as const), peer, count }) },
  {
    weight: 9,
    arbitrary: fc.record({ do: fc.constant('time' as const), ms: fc.constantFrom(1, 5, 20, 60, 150, 400, 12_000) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('cut' as const, 'heal' as const), peer, other: peer }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('crash' as const), peer }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('join' as const) }) },
);

t.test('invariants hold at every step, and healed peers agree', { timeout: 600_000 }, async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.array(step, { minLength: 10, maxLength: 80 }), async (seedOfWorld, steps) => {
      const world = new World(seedOfWorld);
      try {
        await world.begin();
        for (const [i, one] of steps.entries()) {
          await world.run(one);
          const problems = world.check();
          if (problems.length > 0) throw new Error(`after step ${i} (${one.do}): ${problems.join('\n')}`);
        }
        if (!(await world.healed())) {
          throw new Error(
            `I8: not healed: ${JSON.stringify([...world.cluster.peers.values()].map(({ consensus }) => consensus.status()))}`,
          );
        }
        const problems = world.check();
        if (problems.length > 0) throw new Error(`healed: ${problems.join('\n')}`);
      } finally {
        await world.cluster.stop();
      }
    }),
    { numRuns, interruptAfterTimeLimit: 90_000 },
  );
  t.pass(`${numRuns} worlds`);
});

type JoinStep =
  | { do: 'write'; peer: number; kind: (typeof kinds)[number]; key: number; flush: boolean }
  | { do: 'flush' | 'commit'; peer: number; count: number }
  | { do: 'time'; ms: number }
  | { do: 'cut' | 'heal'; peer: number; other: number }
  | { do: 'crash'; peer: number };

const source = fc.nat({ max: 1 });
const joinStep: fc.Arbitrary<JoinStep> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      peer: source,
      kind: fc.constantFrom(...kinds),
      key: fc.nat({ max: 9 }),
      flush: fc.boolean(),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constantFrom('flush' as const, 'commit' as const), peer: source, count }),
  },
  { weight: 12, arbitrary: fc.record({ do: fc.constant('time' as const), ms: fc.constantFrom(5, 20, 50, 100) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('cut' as const, 'heal' as const),
      peer: source,
      other: fc.constantFrom(1, 2),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const), peer: fc.nat({ max: 2 }) }) },
);

t.test(
  'a peer that joins while others write, crash and are cut off ends like them (B1 to B6)',
  { timeout: 600_000 },
  async (t) => {
    let joined = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.integer(),
        fc.array(joinStep, { minLength: 60, maxLength: 160 }),
        async (seedOfWorld, steps) => {
          const world = new World(seedOfWorld, { delayMsMax: 3 });
          const { cluster } = world;
          try {
            for (const name of ['a', 'b']) await cluster.add({ name, flush: 'manual' });
            await world.pass(3_000);
            for (let key = 0; key < 6; key++) {
              await world.run({ do: 'write', peer: key % 2, kind: 'pin', key, flush: true });
              await world.pass(250);
            }
            const late = await cluster.add({ name: 'd' });
            for (const [i, one] of steps.entries()) {
              await world.run(one);
              const problems = world.check();
              if (problems.length > 0) throw new Error(`after step ${i} (${one.do}): ${problems.join('\n')}`);
            }
            if (late.consensus.status().phase === 'ready') joined++;
            if (!(await world.healed())) throw new Error(`I8: not healed: ${JSON.stringify(late.consensus.status())}`);
            const problems = world.check();
            if (problems.length > 0) throw new Error(`healed: ${problems.join('\n')}`);
          } finally {
            await cluster.stop();
          }
        },
      ),
      { numRuns, interruptAfterTimeLimit: 90_000 },
    );
    t.comment(`${joined} joined before the world was healed`);
    t.pass(`${numRuns} worlds`);
  },
);

import t from 'tap';
import { makePlan } from './plan/make-plan.ts';
import { type ProfileName, profiles } from './plan/profiles.ts';
import { commandOf } from './replay.ts';
import { runPlan } from './run-seed.ts';
import { shrink, without } from './shrink.ts';

// The fixed budget of `npm test`; `npm run test:long` goes further, `npm run sim:soak` on and on.
const seedsOfEach = process.env.TEST_LONG === undefined ? 3 : 100;

Error.stackTraceLimit = 0;

for (const profile of Object.keys(profiles) as ProfileName[]) {
  t.test(`whole clusters, ${profile}: ${profiles[profile].says}`, async (t) => {
    for (let seed = 1; seed <= seedsOfEach; seed++) {
      const { failure } = await runPlan(makePlan(seed, profile));
      t.equal(failure?.message, undefined, commandOf(seed, profile, []));
    }
  });
}

t.test('a seed is replayed exactly, and another is another', async (t) => {
  const first = await runPlan(makePlan(7, 'crash'));
  const again = await runPlan(makePlan(7, 'crash'), { isTraceKept: true, isLogKept: true });
  t.equal(again.traceHash, first.traceHash);
  t.equal(again.events, first.events);
  t.ok(again.trace.length > 10);
  t.not((await runPlan(makePlan(8, 'crash'))).traceHash, first.traceHash);
});

t.test('a failure is shrunk to the events that it needs', async (t) => {
  const plan = makePlan(3, 'quiet');
  const [needed] = plan.events.filter(({ kind }) => kind === 'write').slice(5);
  // A clock that cannot be asked of: whatever else happens, this event ends the world.
  const broken = {
    ...plan,
    events: plan.events.map((event) => (event.id === needed?.id ? { ...event, machine: 99 } : event)),
  } as typeof plan;
  const failed = await runPlan(broken);
  t.equal(failed.failure?.invariant, 'CRASH');
  const { plan: smallest, dropped } = await shrink(broken, failed);
  t.same(
    smallest.events.map(({ id }) => id),
    [needed?.id],
  );
  t.equal((await runPlan(without(broken, dropped))).failure?.invariant, 'CRASH');
});

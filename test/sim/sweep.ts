import { Marks } from './marks.ts';
import { makePlan } from './plan/make-plan.ts';
import type { ProfileName } from './plan/profiles.ts';
import { commandOf } from './replay.ts';
import { runPlan } from './run-seed.ts';
import { runSeeds, type SeedRange } from './seed-range.ts';
import { shrink } from './shrink.ts';
import type { Answer } from './worker.ts';

export interface Sweep extends Pick<SeedRange, 'from' | 'to' | 'profile' | 'workers'> {
  /** After a failure the other seeds are run as well. */
  readonly isKeptGoing: boolean;
  readonly isShrunk: boolean;
}

const progressMs = 5_000;

/** A range of seeds on all cores; true: nothing was found wrong. */
export async function sweep(range: Sweep): Promise<boolean> {
  const marks = new Marks();
  const failures: Answer[] = [];
  const sum = { seeds: 0, cpuMs: 0, virtualMs: 0, events: 0, acknowledged: 0 };
  const startedMs = Date.now();
  const progress = () => {
    const seconds = (Date.now() - startedMs) / 1000;
    const rate = `${(sum.seeds / seconds).toFixed(1)} seeds/s (${((sum.seeds * 1000) / sum.cpuMs).toFixed(1)} a second of a core)`;
    const hours = (sum.virtualMs / 3_600_000).toFixed(2);
    return `${sum.seeds} seeds, ${rate}, ${hours} virtual hours, ${sum.events} events, ${sum.acknowledged} acknowledged, ${failures.length} failed`;
  };
  const timer = setInterval(() => process.stderr.write(`${progress()}\n`), progressMs);
  await runSeeds({
    ...range,
    onResult(answer) {
      sum.seeds++;
      for (const key of ['cpuMs', 'virtualMs', 'events', 'acknowledged'] as const) sum[key] += answer[key];
      marks.add(answer.marks);
      if (answer.failure === undefined) return 'go on';
      failures.push(answer);
      console.log(`seed ${answer.seed} (${answer.profile}): ${answer.failure.message}`);
      return range.isKeptGoing ? 'go on' : 'stop';
    },
  });
  clearInterval(timer);
  const [first] = failures.toSorted((a, b) => a.seed - b.seed);
  if (first !== undefined && range.isShrunk) await explain(first);
  for (const line of marks.report()) console.log(line);
  console.log(progress());
  return failures.length === 0;
}

/** The smallest world in which it still goes wrong, as far as it could be found. */
async function explain({ seed, profile }: Answer): Promise<void> {
  const plan = makePlan(seed, profile as ProfileName);
  const failed = await runPlan(plan);
  if (failed.failure === undefined) {
    console.log(`seed ${seed} fails in a worker and not here`);
    return;
  }
  const { plan: smallest, dropped, runs } = await shrink(plan, failed);
  const { trace } = await runPlan(smallest, { isTraceKept: true });
  console.log(`the smallest trace found in ${runs} runs, ${smallest.events.length} events:`);
  for (const line of trace) console.log(`  ${line}`);
  console.log(`seed ${seed}, ${failed.failure.invariant}; to see it again:`);
  console.log(`  ${commandOf(seed, profile, dropped)}`);
}

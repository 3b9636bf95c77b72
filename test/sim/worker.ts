import { makePlan } from './plan/make-plan.ts';
import type { ProfileName } from './plan/profiles.ts';
import { type Result, runPlan } from './run-seed.ts';

/** What the runner asks of a worker: one seed after the other. */
export interface Job {
  readonly seed: number;
  readonly profile: ProfileName | undefined;
}

export type Answer = Omit<Result, 'trace'> & {
  /** What it took of a core: the same on a busy machine. */
  readonly cpuMs: number;
};

// Most errors in a world are answers to a client, and nobody looks at where they came from.
Error.stackTraceLimit = 0;

process.on('message', (job: Job) => {
  void answer(job).then((result) => process.send?.(result));
});

async function answer({ seed, profile }: Job): Promise<Answer> {
  const before = process.cpuUsage();
  const { trace: _, ...result } = await runPlan(makePlan(seed, profile));
  const { user, system } = process.cpuUsage(before);
  return { ...result, cpuMs: (user + system) / 1000 };
}

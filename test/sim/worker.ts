import { makePlan } from './plan/make-plan.ts';
import type { ProfileName } from './plan/profiles.ts';
import { type Result, runPlan } from './run-seed.ts';

/** What the runner asks of a worker: one seed after the other. */
export interface Job {
  readonly seed: number;
  readonly profile: ProfileName | undefined;
}

export type Answer = Omit<Result, 'trace'>;

// Most errors in a world are answers to a client, and nobody looks at where they came from.
Error.stackTraceLimit = 0;

process.on('message', ({ seed, profile }: Job) => {
  void runPlan(makePlan(seed, profile)).then(({ trace: _, ...answer }) => process.send?.(answer));
});

import { formatIds } from './id-ranges.ts';
import { makePlan } from './plan/make-plan.ts';
import type { ProfileName } from './plan/profiles.ts';
import { runPlan } from './run-seed.ts';
import { without } from './shrink.ts';

export interface Replay {
  readonly seed: number;
  readonly profile: ProfileName | undefined;
  readonly dropped: readonly number[];
  readonly isTraceShown: boolean;
  readonly isLogShown: boolean;
}

/** One seed again; true: nothing was found wrong. */
export async function replay({ seed, profile, dropped, isTraceShown, isLogShown }: Replay): Promise<boolean> {
  console.log(`seed ${seed}`);
  const plan = without(makePlan(seed, profile), dropped);
  const result = await runPlan(plan, { isTraceKept: isTraceShown, isLogKept: isLogShown });
  for (const line of result.trace) console.log(line);
  const { machines, events } = plan;
  console.log(
    `profile ${result.profile}, ${machines.length} peers, ${events.length} events planned, ${result.events} happened`,
  );
  console.log(`${(result.virtualMs / 1000).toFixed(1)} s of virtual time, ${result.acknowledged} writes acknowledged`);
  console.log(result.failure === undefined ? 'nothing was found wrong' : result.failure.message);
  console.log(`seed ${seed}, trace ${result.traceHash}`);
  return result.failure === undefined;
}

/** What to type to see it again. */
export function commandOf(seed: number, profile: string, dropped: readonly number[]): string {
  const drop = dropped.length === 0 ? '' : ` --drop ${formatIds(dropped)}`;
  return `npm run sim -- --seed ${seed} --profile ${profile}${drop} --trace`;
}

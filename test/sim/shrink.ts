import type { Plan, PlannedEvent } from './plan/plan.ts';
import { type Result, runPlan } from './run-seed.ts';

export interface Shrunk {
  readonly plan: Plan;
  readonly result: Result;
  /** Ids of the events that were left out. */
  readonly dropped: readonly number[];
  readonly runs: number;
}

/** The plan without some of its events. */
export function without(plan: Plan, dropped: Iterable<number>): Plan {
  const gone = new Set(dropped);
  return { ...plan, events: plan.events.filter(({ id }) => !gone.has(id)) };
}

/**
 * Leaves out events, halves first and then smaller parts, as long as the same invariant breaks. What is left is not the
 * smallest there could be, but none of its parts that was tried can be spared.
 */
export async function shrink(plan: Plan, failed: Result, runsMax = 300): Promise<Shrunk> {
  let best = { plan, result: failed };
  let runs = 0;
  const tries = async (events: readonly PlannedEvent[]): Promise<boolean> => {
    const smaller = { ...plan, events };
    runs++;
    const result = await runPlan(smaller);
    if (result.failure?.invariant !== failed.failure?.invariant) return false;
    best = { plan: smaller, result };
    return true;
  };
  for (let parts = 2; parts <= Math.max(2, best.plan.events.length) * 2 && runs < runsMax; ) {
    const { events } = best.plan;
    const size = Math.max(1, Math.ceil(events.length / parts));
    let isSmaller = false;
    for (let at = 0; at < events.length && runs < runsMax; at += size) {
      isSmaller = await tries([...events.slice(0, at), ...events.slice(at + size)]);
      if (isSmaller) break;
    }
    if (!isSmaller && size === 1) break;
    parts = isSmaller ? Math.max(2, parts - 1) : parts * 2;
  }
  const left = new Set(best.plan.events.map(({ id }) => id));
  return { ...best, dropped: plan.events.map(({ id }) => id).filter((id) => !left.has(id)), runs };
}

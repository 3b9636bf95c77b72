import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Plan } from './plan/plan.ts';
import { closeOutsideWorld } from './world/outside-world.ts';
import { Violation } from './world/violation.ts';
import { World } from './world/world.ts';

export interface Result {
  readonly seed: number;
  readonly profile: string;
  readonly traceHash: string;
  readonly virtualMs: number;
  readonly events: number;
  readonly acknowledged: number;
  readonly marks: Readonly<Record<string, number>>;
  readonly failure: Failure | undefined;
  readonly trace: readonly string[];
}

export interface Failure {
  /** Of docs/protocol.md, or the name of a promise; `CRASH` for an error that nobody expected. */
  readonly invariant: string;
  readonly message: string;
}

export interface RunOptions {
  isTraceKept?: boolean;
  isLogKept?: boolean;
}

/** Runs one plan in a world of its own. */
export async function runPlan(
  plan: Plan,
  { isTraceKept = false, isLogKept = false }: RunOptions = {},
): Promise<Result> {
  const world = new World(plan, { isTraceKept, isLogKept });
  const marks: Record<string, number> = {};
  const onMark = (name: unknown) => {
    marks[String(name)] = (marks[String(name)] ?? 0) + 1;
  };
  const onStray = (cause: unknown) =>
    world.fail(new Violation('STRAY', 'a promise was rejected and nobody looked', { cause }));
  const outside = closeOutsideWorld();
  subscribe('pinfold:mark', onMark);
  process.on('unhandledRejection', onStray);
  let failure: Failure | undefined;
  try {
    await world.run();
    const leaked = outside.leaked();
    if (leaked.length > 0) throw new Violation('WORLD', `left open outside of the world: ${leaked.join(', ')}`);
  } catch (problem) {
    failure = failureOf(problem);
    world.trace.add(world.time.nowMs, `${failure.invariant} ${failure.message}`);
  } finally {
    process.off('unhandledRejection', onStray);
    unsubscribe('pinfold:mark', onMark);
    outside.open();
  }
  return {
    seed: plan.seed,
    profile: plan.profile,
    traceHash: world.trace.hash(),
    virtualMs: Math.round(world.time.nowMs),
    events: world.events,
    acknowledged: world.promises.count,
    marks,
    failure,
    trace: world.trace.lines,
  };
}

function failureOf(problem: unknown): Failure {
  if (problem instanceof Violation) {
    const cause = problem.cause === undefined ? '' : `; because: ${described(problem.cause)}`;
    return { invariant: problem.invariant, message: problem.message + cause };
  }
  return { invariant: 'CRASH', message: described(problem) };
}

function described(problem: unknown): string {
  if (problem instanceof AggregateError) return [problem.message, ...problem.errors.map(described)].join('\n');
  if (!(problem instanceof Error)) return String(problem);
  const cause = problem.cause === undefined ? '' : `\ncaused by ${described(problem.cause)}`;
  return `${problem.stack ?? problem.message}${cause}`;
}

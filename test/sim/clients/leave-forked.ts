import { isPinfoldError } from '../../../src/model/errors.ts';
import type { SimProcess } from '../world/sim-process.ts';
import { leave } from '../world/stores.ts';
import type { World } from '../world/world.ts';
import { called, pause } from './call.ts';

const pauseMs = 5_000;
const timeoutMs = 120_000;
/** Before it is given up what no other peer takes. */
const patienceMs = 300_000;

/** The operator of all peers: `store rejoin` at each that says so, by force only when nothing else has helped (N4). */
export async function leaveForked(world: World): Promise<void> {
  const refusedSinceMs = new Map<string, number>();
  while (!world.isEnding) {
    for (const process of world.up()) {
      const { name } = process.machine;
      if (!isTold(world, process)) refusedSinceMs.delete(name);
      else if (await rejoin(world, process, refusedSinceMs.get(name))) refusedSinceMs.delete(name);
      else if (!refusedSinceMs.has(name)) refusedSinceMs.set(name, world.time.nowMs);
    }
    await pause(world, pauseMs);
  }
}

/** Its alert says so; or one says what to do if it stays, and it has stayed. */
function isTold(world: World, { core: { consensus } }: SimProcess): boolean {
  const messages = consensus.status().alerts.flatMap(({ kind, message }) => (kind === 'FORK' ? [message] : []));
  const tells = (what: string) => messages.some((message) => message.includes(what));
  return tells('run "pinfold store rejoin" at this peer') || (world.isLate && tells('run "pinfold store rejoin" here'));
}

async function rejoin(world: World, process: SimProcess, refusedSinceMs: number | undefined): Promise<boolean> {
  const force = refusedSinceMs !== undefined && world.time.nowMs - refusedSinceMs > patienceMs;
  try {
    await called(world, process, timeoutMs, ({ signal }) =>
      process.core.consensus.keeping.prepareRejoin({ force, signal }),
    );
  } catch (problem) {
    if (!isPinfoldError(problem) && process.isRunning) throw problem;
    const what = isPinfoldError(problem) ? `${problem.code} ${problem.message}` : 'no answer';
    world.trace.add(world.time.nowMs, `${process.name} cannot leave its store: ${what}`);
    return false;
  }
  world.trace.add(world.time.nowMs, `${process.name} leaves its store${force ? ', by force' : ''}`);
  await leave(world, process.machine, force);
  return true;
}

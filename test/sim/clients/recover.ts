import { isPinfoldError } from '../../../src/model/errors.ts';
import type { RecoverEvent } from '../plan/plan.ts';
import type { World } from '../world/world.ts';
import { called } from './call.ts';

/** A client that has everything tried again. */
export async function recover(world: World, event: RecoverEvent): Promise<void> {
  const process = world.running(event.machine);
  if (process === undefined) return;
  try {
    await called(world, process, 5_000, async (call) => {
      for await (const _ of process.core.status.recover({ cids: [], namespace: undefined }, call));
    });
  } catch (problem) {
    if (!isPinfoldError(problem) && process.isRunning) throw problem;
  }
}

import type { Machine } from '../world/machine.ts';
import type { World } from '../world/world.ts';
import { pause } from './call.ts';

const patienceMs = 200;

/** `peers trust`: asked of its peer while it runs, written into its configuration while it does not. */
export async function changeTrust(world: World, machine: Machine, peerIds: readonly string[] | 'all'): Promise<void> {
  while (machine.process !== undefined && !machine.process.isRunning) await pause(world, patienceMs);
  const { process } = machine;
  machine.trustEnds(world.time.nowMs);
  if (process === undefined) machine.saveTrust(peerIds);
  else await process.core.trusting.change({ replace: peerIds, add: [], remove: [] });
}

import { isPinfoldError } from '../../../src/model/errors.ts';
import type { FaultEvent } from '../plan/plan.ts';
import type { Machine } from '../world/machine.ts';
import type { World } from '../world/world.ts';
import { called } from './call.ts';

type RemoveEvent = Extract<FaultEvent, { kind: 'remove' }>;

/** An operator who removes a member: one that runs, one that was stopped and comes back, or one that is dead for good. */
export async function removeMember(world: World, { at, machine, was, downMs }: RemoveEvent): Promise<void> {
  const removed = world.machine(machine);
  if (was === 'stopped') await world.stop(removed);
  if (was === 'dead') die(world, removed);
  await remove(world, at, removed);
  if (was !== 'running') world.startLater(removed, downMs);
}

async function remove(world: World, at: number, { peerId, name }: Machine): Promise<void> {
  const process = world.running(at);
  if (process === undefined) return;
  try {
    await called(world, process, 5_000, (call) => process.core.membership.remove(peerId, call));
  } catch (problem) {
    if (!isPinfoldError(problem) && process.isRunning) throw problem;
    return;
  }
  world.members.removed(process, peerId);
  world.trace.add(world.time.nowMs, `${process.name} has removed ${name}`);
}

/** Crashes, and stays down for good where enough others are left, and nobody needs it to find them. */
function die(world: World, machine: Machine): void {
  world.crash(machine, 'machine');
  const { leftDown } = world.plan;
  const others = world.machines.filter((other, i) => other !== machine && !other.isGone && !leftDown.includes(i));
  if (others.filter(({ isFollower }) => !isFollower).length < 2) return;
  if (world.machines.some(({ bootstrap }) => bootstrap.includes(machine.peerId))) return;
  machine.isGone = true;
  world.promises.diskLost(machine);
}

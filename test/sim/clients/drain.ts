import { isPinfoldError } from '../../../src/model/errors.ts';
import type { FaultEvent } from '../plan/plan.ts';
import type { World } from '../world/world.ts';
import { called } from './call.ts';

/** `drain --apply` of a peer, whose end is not waited for, or `undrain`. */
export async function drain(
  world: World,
  { at, machine, ends }: Extract<FaultEvent, { kind: 'drain' }>,
): Promise<void> {
  const process = world.running(at);
  if (process === undefined) return;
  const drained = world.machine(machine);
  drained.wasDrained = true;
  const act = ++drained.drainActs;
  drained.drainActsUnderWay++;
  const isAlone = () => drained.drainActsUnderWay === 1 && drained.drainActs === act;
  const beganAlone = isAlone();
  const { draining } = process.core;
  try {
    await called(world, process, 5_000, async (call) => {
      if (ends) return draining.undrain(drained.peerId, call);
      for await (const _left of draining.drain(drained.peerId, call)) return;
    });
    // Of two at once nobody can say which was the last.
    drained.isDraining = beganAlone && isAlone() ? !ends : undefined;
  } catch (problem) {
    if (!isPinfoldError(problem) && process.isRunning) throw problem;
    // Whether it was done is not known: what the peer says now is taken for true.
    drained.isDraining = undefined;
  } finally {
    drained.drainActsUnderWay--;
  }
}

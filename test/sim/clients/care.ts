import type { RepairEvent } from '../../../src/consensus/repair.ts';
import { isPinfoldError } from '../../../src/model/errors.ts';
import { checkFound, damageAlerts } from '../checkers/damages.ts';
import type { Machine } from '../world/machine.ts';
import type { SimProcess } from '../world/sim-process.ts';
import type { World } from '../world/world.ts';
import { called, pause } from './call.ts';

const timeoutMs = 120_000;
const pauseMs = 5_000;

/** An operator who scrubs a store, and repairs it when its alerts say so: what would be done is looked at first. */
export async function care(world: World, machine: Machine): Promise<void> {
  const { process } = machine;
  if (!process?.isRunning) return;
  try {
    await called(world, process, timeoutMs, async ({ signal }) => {
      await scrub(world, process, signal);
      if (!alertsOf(process).some(({ kind }) => damageAlerts.includes(kind))) return;
      await repair(world, process, false, signal);
      await repair(world, process, true, signal);
    });
  } catch (problem) {
    if (!isPinfoldError(problem) && process.isRunning) throw problem;
    const what = isPinfoldError(problem) ? problem.code : 'no answer';
    world.trace.add(world.time.nowMs, `care for ${process.name}: ${what}`);
  }
}

/** Again and again, until all run and nothing is damaged anywhere. */
export async function careForAll(world: World): Promise<void> {
  const areUp = () => world.machines.every(({ isGone, process }) => isGone || process?.isRunning === true);
  while (world.damages.wereAny && (!areUp() || world.damagesLeft() !== undefined)) {
    for (const { machine } of world.up()) await care(world, machine);
    await pause(world, pauseMs);
  }
}

async function scrub(world: World, process: SimProcess, signal: AbortSignal): Promise<void> {
  const damages = world.damages.of(process.machine.name);
  const before = damages.standing();
  for await (const { found } of process.core.storeCare.scrub({ signal })) {
    if (found === undefined) continue;
    const told = found.findings.map(({ bucket, kind }) => `${kind} in ${bucket}`).join(', ');
    world.trace.add(world.time.nowMs, `scrub of ${process.name}: ${told === '' ? 'nothing' : told}`);
    world.look(process);
    const still = new Set(damages.standing());
    for (const damaged of before) {
      // Whether a bucket adds up again is seen only when nothing is on its way to the disk.
      if (!damages.keys.has(damaged.key) && !process.disk.isSettled) continue;
      // What is consistent in itself only a comparison can find.
      if (still.has(damaged) && damaged.what !== 'forget' && !world.damages.muddled.has(damaged.key))
        checkFound(process.name, damaged, found.findings, alertsOf(process));
    }
  }
}

async function repair(world: World, process: SimProcess, apply: boolean, signal: AbortSignal): Promise<void> {
  for await (const event of process.core.storeCare.repair({ apply, signal }))
    world.trace.add(world.time.nowMs, `repair${apply ? '' : ' (plan)'} at ${process.name}: ${told(event)}`);
}

function alertsOf(process: SimProcess) {
  return process.core.consensus.status().alerts;
}

function told(event: RepairEvent): string {
  return Object.entries(event)
    .filter(([, value]) => value !== 0 && value !== undefined)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}

import type { Machine } from '../world/machine.ts';
import { Violation } from '../world/violation.ts';
import type { World } from '../world/world.ts';
import { short } from './hex.ts';

const hourMs = 3_600_000;
/** Who counts as a holder since less than this may have become one after the cut was decided. */
const settledMs = 10_000;

/** L1: as long as nothing is too old or too much, the log is cut only to where the peers it is kept for have it. */
export function checkCut(world: World, machine: Machine, rid: string, floor: number): void {
  const { process, config } = machine;
  // L2 may cut at any time, and what rests on a history that was given up is cut as well (N4).
  if (world.history.hasForks || !process?.isRunning || config.crdt.logAgeMaxMs < hourMs) return;
  for (const { peerId } of process.core.consensus.status().log.holders) {
    if (world.time.nowMs - (process.holders.get(peerId) ?? world.time.nowMs) < settledMs) continue;
    // What it acknowledged may be lost with its disk since.
    const holders = world.machines.filter((other) => other.peerId === peerId);
    if (holders.some((holder) => world.checkerOf(holder).everCovered(rid, floor))) continue;
    throw new Violation(
      'L1',
      `${process.name} cut ${short(rid)} up to ${floor}, which ${holders[0]?.name} has never had`,
    );
  }
}

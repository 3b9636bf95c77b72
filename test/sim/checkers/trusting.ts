import type { Machine } from '../world/machine.ts';
import type { SimProcess } from '../world/sim-process.ts';
import { Violation } from '../world/violation.ts';
import type { World } from '../world/world.ts';
import type { BatchRecord } from './batch-record.ts';
import { short } from './hex.ts';

/** What was under way when a peer was struck off has come in by then: a disk may take so long. */
const underWayMs = 10_000;

/** T1 to T3: a peer takes in what some peer has had that it trusts, and nothing else. */
export function checkTaken(world: World, machine: Machine, { rid, author, last }: BatchRecord): void {
  if (author === machine.peerId) return;
  const sinceMs = world.time.nowMs - underWayMs;
  const isSource = (other: Machine) =>
    other !== machine && (machine.trusts(other) || machine.hasTrusted(other, sinceMs));
  if (world.machines.some((other) => isSource(other) && world.checkerOf(other).everCovered(rid, last))) return;
  throw new Violation('T3', `${machine.name} has taken in ${short(rid)} ${last}, which nobody had whom it trusts`);
}

/** Whose list a peer does not know yet. */
export function lackingLists(up: readonly SimProcess[]): string | undefined {
  for (const process of up) {
    const known = new Map(process.core.overview.peers().map(({ peerId, trusts }) => [peerId, trusts]));
    for (const { machine, name } of up) {
      const list = known.get(machine.peerId);
      const isKnown = machine.trustedPeers.includes('*') ? list === 'all' : isSame(list, machine.trustedPeers);
      if (!isKnown) return `${process.name} does not know whom ${name} trusts`;
    }
  }
  return undefined;
}

/** The machines that what `from` writes gets to, if those that are gone hand nothing on, or everything. */
export function reached(world: World, from: Machine, goneHandOn: boolean): Set<Machine> {
  const found = new Set<Machine>([from]);
  for (const giver of found) {
    if (giver !== from && giver.isFollower) continue;
    for (const other of world.machines) if (other.isGone ? goneHandOn : other.trusts(giver)) found.add(other);
  }
  found.delete(from);
  return found;
}

function isSame(list: readonly string[] | 'all' | undefined, peerIds: readonly string[]): boolean {
  return Array.isArray(list) && list.length === peerIds.length && peerIds.every((peerId) => list.includes(peerId));
}

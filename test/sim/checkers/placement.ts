import { toV1 } from '../../../src/model/cid.ts';
import { everywhere } from '../../../src/model/pin.ts';
import type { StoredPin } from '../../../src/pinset/pinset.ts';
import { content, isNowhere } from '../world/contents.ts';
import type { Machine } from '../world/machine.ts';
import type { SimProcess } from '../world/sim-process.ts';
import { Violation } from '../world/violation.ts';
import type { World } from '../world/world.ts';
import type { BatchRecord, OperationRecord } from './batch-record.ts';

/** Who is back is heard of by all within so long. */
const heardWithinMs = 30_000;
const nowhere = new Set(Array.from({ length: 40 }, (_, i) => i).flatMap((i) => (isNowhere(i) ? [cidName(i)] : [])));

/** What re-allocation does to a pin, when it is on the disk of who did it: no copy is given up too soon, and nothing moves without a reason. */
export function checkMoved(world: World, author: Machine, batch: BatchRecord): void {
  if (batch.author !== author.peerId || author.process === undefined) return;
  const { truth } = world.checkerOf(author);
  for (const operation of batch.operations) {
    const isAlone = batch.operations.every((other) => other === operation || other.key !== operation.key);
    if (operation.kind !== 'amend' || !isAlone || !isSettled(world, operation.key)) continue;
    const before = truth.row(operation.key).find(({ dot }) => operation.sees.includes(dot))?.placement.allocations;
    const stored = author.process.core.pinset.get(Buffer.from(operation.key, 'hex'));
    if (before !== undefined && stored !== undefined) checkMove(world, author, operation, before, stored);
  }
}

/** Everyone has the same of that key: nothing concurrent is under way. */
function isSettled(world: World, key: string): boolean {
  const rows = world.machines
    .filter(({ isGone }) => !isGone)
    .map((machine) => JSON.stringify(world.checkerOf(machine).truth.row(key)));
  return new Set(rows).size === 1;
}

function checkMove(
  world: World,
  { name }: Machine,
  { placement: { allocations: after }, key }: OperationRecord,
  before: readonly string[],
  { pin }: StoredPin,
): void {
  const copies = (peerIds: readonly string[]) =>
    world.machines.filter(
      ({ peerId, ipfsDisk }) => peerIds.includes(peerId) && ipfsDisk.records.get(toV1(pin.cid)) !== undefined,
    ).length;
  const least = Math.min(pin.replicationMin, copies(before));
  if (copies(after) < least) {
    throw new Violation(
      'COPIES',
      `${name} moves ${key.slice(0, 8)} from ${before} to ${after}: ${copies(after)} copies are left of ${copies(before)}`,
    );
  }
  const good = before.filter((peerId) => isGood(world, peerId));
  if (after.some((peerId) => !before.includes(peerId)) && good.length >= pin.replicationMax) {
    throw new Violation(
      'FLAP',
      `${name} moves ${key.slice(0, 8)} from ${before} to ${after}, and nobody was away for long`,
    );
  }
}

/** Neither drained nor away for the grace period, now or a short while ago. */
function isGood(world: World, peerId: string): boolean {
  const machine = world.machines.find((each) => each.peerId === peerId);
  if (machine === undefined || machine.wasDrained) return false;
  const { nowMs } = world.time;
  // Not more: who has just started itself waits for no silence before it counts.
  const graceMs = machine.config.cluster.reallocationGraceMs;
  const absences = [...machine.absences, ...(machine.awaySinceMs === undefined ? [] : [[machine.awaySinceMs, nowMs]])];
  return !absences.some(([from = 0, to = 0]) => to - from >= graceMs && to >= nowMs - heardWithinMs);
}

/** What is not where it should be, once all is healed. */
export function lackingPlaces(world: World, up: readonly SimProcess[]): string | undefined {
  for (const { core, machine } of up) machine.isDraining ??= core.monitor.member(machine.peerId)?.draining;
  const undrained = up.find(({ core }) =>
    up.some(({ machine }) => core.monitor.member(machine.peerId)?.draining !== machine.isDraining),
  );
  if (undrained !== undefined) return `${undrained.name} does not know who is drained`;
  const voters = world.machines.filter(({ isFollower }) => !isFollower);
  if (up.filter(({ machine }) => !machine.isFollower).length * 2 <= voters.length) return undefined;
  const takers = up.filter(({ machine }) => !machine.isFollower && !machine.isDraining);
  const taking = new Set(takers.map(({ machine }) => machine.peerId));
  for (const process of up) {
    let cursor: Uint8Array | undefined;
    do {
      const from = cursor === undefined ? {} : { cursor };
      const page = process.core.pinset.list({ filter: {}, order: 'key', limit: 1_000, ...from });
      for (const { pin } of page.pins) {
        const { allocations, replicationMin, replicationMax } = pin;
        if (replicationMin === everywhere || nowhere.has(cidText(pin.cid)) || taking.size < replicationMin) continue;
        const wanted = Math.min(replicationMax, taking.size);
        if (allocations.length === wanted && allocations.every((peerId) => taking.has(peerId))) continue;
        return `at ${process.name} ${pin.name} lies on ${allocations.length} peers of ${wanted}: ${allocations}`;
      }
      cursor = page.cursor;
    } while (cursor !== undefined);
  }
  return undefined;
}

function cidName(number: number): string {
  return cidText(content(number).cid);
}

function cidText(cid: Uint8Array): string {
  return Buffer.from(toV1(cid)).toString('hex');
}

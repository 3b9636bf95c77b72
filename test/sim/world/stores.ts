import { ridOf } from '../../../src/consensus/crdt/codec/header.ts';
import { decodeReplicaRow } from '../../../src/consensus/crdt/state/replica-row.ts';
import { readSelf } from '../../../src/consensus/crdt/state/self.ts';
import { replicasTable } from '../../../src/consensus/crdt/tables.ts';
import { peerTables } from '../../../src/daemon/peer-core.ts';
import { type MemoryStorage, memoryStorage } from '../../../src/storage/memory/memory-storage.ts';
import { hexOf } from '../checkers/hex.ts';
import { pause } from '../clients/call.ts';
import type { FaultEvent } from '../plan/plan.ts';
import { hasLastCopy } from './damage.ts';
import { Machine } from './machine.ts';
import { NodeDisk } from './node-disk.ts';
import type { SimProcess } from './sim-process.ts';
import type { World } from './world.ts';

type Of<K extends FaultEvent['kind']> = Extract<FaultEvent, { kind: K }>;

/** An older copy of the store is put in its place, as an operator does with a backup. */
export function restore(world: World, { machine, downMs }: Of<'restore'>): void {
  const restored = world.machine(machine);
  const backup = restored.backups.at(-1);
  if (backup === undefined || restored.twins > 0 || hasLastCopy(world, restored)) return;
  world.crash(restored, 'machine');
  world.promises.diskLost(restored);
  restored.putStore(backup.control.copy());
  restored.isRestored = true;
  world.checkerOf(restored).replaced();
  world.startLater(restored, downMs);
}

/**
 * The disk is put back to what it was, and the file looks like the one that was there. Only what all others have is lost by it: whoever
 * the peer compares with first knows more of it than it does itself, so that it writes nothing twice (N3).
 */
export async function rollBack(world: World, { machine, downMs }: Of<'rollback'>): Promise<void> {
  const rolled = world.machine(machine);
  const backup = rolled.backups.at(-1);
  if (backup === undefined || rolled.process?.isRunning !== true) return;
  await world.stop(rolled);
  if (rolled.process !== undefined) return;
  if (isKnownToAll(world, rolled)) {
    world.trace.add(world.time.nowMs, `the disk of ${rolled.name} is put back`);
    world.promises.diskLost(rolled);
    rolled.rollBack(backup.control.copy());
    rolled.isRestored = true;
    world.checkerOf(rolled).replaced();
  }
  world.startLater(rolled, downMs);
}

/** The disk is put back, as above, and the peer writes on before it meets anybody: one replica with two histories (N4). */
export async function fork(world: World, event: Of<'fork'>): Promise<void> {
  const forking = world.machine(event.machine);
  if (forking.isForking || forking.process?.isRunning !== true) return;
  forking.isForking = true;
  await forkOnce(world, forking, event).finally(() => {
    forking.isForking = false;
  });
}

async function forkOnce(
  world: World,
  forking: Machine,
  { blind, putBackAfterMs, downMs, aloneMs, apartMs }: Of<'fork'>,
): Promise<void> {
  const copy = (forking.process as SimProcess).disk.inner.control.copy();
  const others = world.machines.filter((other) => other !== forking);
  const unseeing = blind === undefined ? undefined : world.machine(blind);
  const part = (isApart: boolean, machines: readonly Machine[], from: readonly Machine[]) => {
    for (const a of machines) for (const b of from) if (a !== b) setApart(world, isApart, a, b);
  };
  if (unseeing !== undefined) part(true, [unseeing], world.machines);
  await pause(world, putBackAfterMs);
  if (world.isHealed) return;
  world.crash(forking, 'machine');
  world.trace.add(world.time.nowMs, `the disk of ${forking.name} is put back, and nobody tells it`);
  for (const { rid, clock } of replicasOf(forking, copy)) world.history.mayFork(rid, clock);
  world.promises.diskLost(forking);
  forking.rollBack(copy);
  forking.isRestored = true;
  world.checkerOf(forking).replaced();
  part(true, [forking], others);
  world.startLater(forking, downMs);
  await pause(world, downMs + aloneMs);
  if (unseeing !== undefined && !world.isHealed) {
    setApart(world, false, forking, unseeing);
    await pause(world, apartMs);
  }
  if (!world.isHealed) part(false, others, world.machines);
}

function setApart(world: World, isApart: boolean, { name: a }: Machine, { name: b }: Machine): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    if (isApart) world.hub.block(from, to);
    else world.hub.unblock(from, to);
  }
}

/** The replicas of a peer that a store of it knows to be its own, and how far it has written as each. */
function replicasOf({ signer }: Machine, { read }: MemoryStorage): { rid: string; clock: number }[] {
  const rows = Array.from(read.range(replicasTable), ({ value }) => decodeReplicaRow(value));
  const clocks = new Map(rows.map(({ rid, clock }) => [hexOf(rid), clock]));
  return (readSelf(read)?.incarnations ?? []).map((incarnation) => {
    const rid = hexOf(ridOf(signer.publicKey, incarnation));
    return { rid, clock: clocks.get(rid) ?? 0 };
  });
}

/** An operator leaves a store that has taken what its author gave up: the peer joins the others anew, with an empty one. */
export async function leave(world: World, machine: Machine, isForced: boolean): Promise<void> {
  await world.stop(machine);
  if (machine.process !== undefined) return;
  if (isForced) world.promises.diskLost(machine);
  else world.promises.diskLeft(machine);
  machine.putStore(memoryStorage({ tables: peerTables, flush: 'manual' }));
  machine.knowsOthers = true;
  machine.isRestored = true;
  world.checkerOf(machine).replaced();
  world.startLater(machine, 1_000);
}

/** What the machine wrote is on the disks of all others. */
function isKnownToAll(world: World, machine: Machine): boolean {
  const { clock } = world.checkerOf(machine).truth;
  const own = world.history.replicasOf(machine.peerId);
  const others = world.machines.filter((other) => other !== machine);
  return own.every((rid) => others.every((other) => world.checkerOf(other).covers(rid, clock.get(rid) ?? 0)));
}

/** The disk is lost with all that was on it; the peer comes back with its key and an empty one. */
export function wipe(world: World, { machine, downMs }: Of<'wipe'>): void {
  const wiped = world.machine(machine);
  if (wiped.twins > 0 || hasLastCopy(world, wiped)) return;
  world.crash(wiped, 'machine');
  world.promises.diskLost(wiped);
  wiped.putStore(memoryStorage({ tables: peerTables, flush: 'manual' }));
  wiped.ipfsDisk = new NodeDisk(wiped.held);
  wiped.backups.length = 0;
  world.checkerOf(wiped).replaced();
  world.startLater(wiped, downMs);
}

/** Somebody copies the folder of a running peer and starts a second one from it, with the same key. */
export function twin(world: World, { machine, forMs }: Of<'twin'>): void {
  const original = world.machine(machine);
  if (original.process === undefined || original.twins > 0) return;
  const { config, signer, bootstrap, diskManner, clockOffsetMs } = original;
  const name = `${original.name}-twin${++original.twinsEver}`;
  const store = original.process.disk.inner.control.copy();
  const twin = new Machine({ name, signer, config, bootstrap, diskManner, clockOffsetMs }, store);
  original.twins++;
  world.machines.push(twin);
  world.start(twin);
  world.time.after(world.owner, forMs, () => {
    original.twins--;
    twin.isGone = true;
    world.crash(twin, 'machine');
    world.promises.diskLost(twin);
  });
}

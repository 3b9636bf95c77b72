import { peerTables } from '../../../src/daemon/peer-core.ts';
import { memoryStorage } from '../../../src/storage/memory/memory-storage.ts';
import type { FaultEvent } from '../plan/plan.ts';
import { Machine } from './machine.ts';
import { NodeDisk } from './node-disk.ts';
import type { World } from './world.ts';

type Of<K extends FaultEvent['kind']> = Extract<FaultEvent, { kind: K }>;

/** An older copy of the store is put in its place, as an operator does with a backup. */
export function restore(world: World, { machine, downMs }: Of<'restore'>): void {
  const restored = world.machine(machine);
  const backup = restored.backups.at(-1);
  if (backup === undefined || restored.twins > 0) return;
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

/** What the machine wrote is on the disks of all others. */
function isKnownToAll(world: World, machine: Machine): boolean {
  const { clock } = world.checkerOf(machine).truth;
  const own = [...world.history.all].filter(([, batches]) => batches[0]?.author === machine.peerId);
  const others = world.machines.filter((other) => other !== machine);
  return own.every(([rid]) => others.every((other) => world.checkerOf(other).covers(rid, clock.get(rid) ?? 0)));
}

/** The disk is lost with all that was on it; the peer comes back with its key and an empty one. */
export function wipe(world: World, { machine, downMs }: Of<'wipe'>): void {
  const wiped = world.machine(machine);
  if (wiped.twins > 0) return;
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

import { toV1 } from '../../../src/model/cid.ts';
import { bulk } from '../clients/bulk.ts';
import { care } from '../clients/care.ts';
import { changeTrust } from '../clients/change-trust.ts';
import { drain } from '../clients/drain.ts';
import { list } from '../clients/list.ts';
import { recover } from '../clients/recover.ts';
import { removeMember } from '../clients/remove-member.ts';
import { Watcher } from '../clients/watcher.ts';
import { write } from '../clients/write.ts';
import type { FaultEvent, PlannedEvent } from '../plan/plan.ts';
import { content } from './contents.ts';
import { damage } from './damage.ts';
import { fork, restore, rollBack, twin, wipe } from './stores.ts';
import type { World } from './world.ts';

/** Carries out one event of the plan. */
export function happen(world: World, event: PlannedEvent): void {
  if (event.kind === 'write') world.client(write(world, event.id, event));
  else if (event.kind === 'bulk') world.client(bulk(world, event.id, event));
  else if (event.kind === 'watch') world.watch(new Watcher(world, event.id, event));
  else if (event.kind === 'list') world.client(list(world, event));
  else if (event.kind === 'recover') world.client(recover(world, event));
  else if (event.kind === 'care') world.client(care(world, world.machine(event.machine)));
  else fault(world, event);
}

type Of<K extends FaultEvent['kind']> = Extract<FaultEvent, { kind: K }>;
type Handlers = { [K in FaultEvent['kind']]: (world: World, event: Of<K>) => void };

const handlers: Handlers = {
  crash(world, { machine, of, downMs }) {
    const down = world.machine(machine);
    if (down.process === undefined) return;
    world.crash(down, of);
    world.startLater(down, downMs);
  },
  stop(world, { machine, downMs }) {
    const down = world.machine(machine);
    if (!world.running(machine)) return;
    world.client(world.stop(down).then(() => world.startLater(down, downMs)));
  },
  partition(world, { from, to, oneWay, forMs }) {
    const ways = names(world, from).flatMap((a) => names(world, to).map((b) => [a, b] as const));
    const all = oneWay ? ways : ways.flatMap(([a, b]) => [[a, b] as const, [b, a] as const]);
    for (const [a, b] of all) world.hub.block(a, b);
    later(world, forMs, () => {
      for (const [a, b] of all) world.hub.unblock(a, b);
    });
  },
  'slow-link'(world, { from, to, factor, forMs }) {
    const [a, b] = [world.machine(from).name, world.machine(to).name];
    world.hub.slow(a, b, factor);
    later(world, forMs, () => world.hub.slow(a, b, 1));
  },
  'cut-streams'(world, { a, b }) {
    world.hub.cutStreams(world.machine(a).name, world.machine(b).name);
  },
  disconnect(world, { a, b }) {
    world.hub.disconnectMachines(world.machine(a).name, world.machine(b).name);
  },
  'gossip-off'(world, { forMs }) {
    const { manner } = world.hub.needs;
    manner.gossipLoss = 1;
    later(world, forMs, () => {
      manner.gossipLoss = world.plan.network.gossipLoss;
    });
  },
  clock(world, { machine, offsetMs, forMs }) {
    const wrong = world.machine(machine);
    wrong.clockOffsetMs += offsetMs;
    later(world, forMs, () => {
      wrong.clockOffsetMs -= offsetMs;
    });
  },
  'slow-disk'(world, { machine, factor, forMs }) {
    const { diskManner } = world.machine(machine);
    diskManner.flushMs *= factor;
    later(world, forMs, () => {
      diskManner.flushMs /= factor;
    });
  },
  'low-disk'(world, { machine, forMs }) {
    const { diskManner } = world.machine(machine);
    diskManner.isLow = true;
    later(world, forMs, () => {
      diskManner.isLow = false;
    });
  },
  'failing-disk'(world, { machine, at, downMs }) {
    const failing = world.machine(machine);
    failing.diskManner.failNext = at;
    failing.downMs = downMs;
  },
  remove(world, event) {
    world.client(removeMember(world, event));
  },
  drain(world, event) {
    world.client(drain(world, event));
  },
  trust(world, { machine, trusts }) {
    world.client(changeTrust(world, world.machine(machine), trusts === 'all' ? 'all' : peerIds(world, trusts)));
  },
  backup(world, { machine }) {
    const { process, backups } = world.machine(machine);
    if (process !== undefined) backups.push(process.disk.inner.control.copy());
  },
  restore: (world, event) => restore(world, event),
  rollback(world, event) {
    world.client(rollBack(world, event));
  },
  fork(world, event) {
    world.client(fork(world, event));
  },
  wipe: (world, event) => wipe(world, event),
  twin: (world, event) => twin(world, event),
  ipfs(world, { machine, faults, forMs }) {
    const { process, ipfsFaults } = world.machine(machine);
    const before = { ...ipfsFaults };
    if (faults.isLying === true) world.machine(machine).hasLied = true;
    for (const one of [ipfsFaults, process?.connector.faults]) if (one !== undefined) Object.assign(one, faults);
    later(world, forMs, () => {
      const now = world.machine(machine).process;
      for (const one of [ipfsFaults, now?.connector.faults]) if (one !== undefined) Object.assign(one, before);
    });
  },
  'ipfs-loses'(world, { machine, content: number }) {
    const cid = toV1(content(number).cid);
    const losing = world.machine(machine);
    losing.lost.add(number);
    void losing.ipfsDisk.records.remove(cid);
  },
  damage: (world, event) => damage(world, event),
};

function fault(world: World, event: FaultEvent): void {
  const handler = handlers[event.kind] as (world: World, event: FaultEvent) => void;
  handler(world, event);
}

/** A fault ends in its time, or when all are healed. */
function later(world: World, forMs: number, fn: () => void): void {
  world.time.after(world.owner, forMs, () => {
    if (!world.isHealed) fn();
  });
}

function peerIds(world: World, machines: readonly number[]): string[] {
  return machines.map((machine) => world.machine(machine).peerId);
}

function names(world: World, machines: readonly number[]): string[] {
  return machines.map((machine) => world.machine(machine).name);
}

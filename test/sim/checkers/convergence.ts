import { noFaults } from '../../../src/ipfs/memory/ipfs-world.ts';
import { compareBytes } from '../../../src/model/bytes.ts';
import { toV1 } from '../../../src/model/cid.ts';
import { isAllocatedTo } from '../../../src/model/pin.ts';
import type { StoredPin } from '../../../src/pinset/pinset.ts';
import { careForAll } from '../clients/care.ts';
import { changeTrust } from '../clients/change-trust.ts';
import type { Watcher } from '../clients/watcher.ts';
import { profiles } from '../plan/profiles.ts';
import { content, holds, isNowhere } from '../world/contents.ts';
import type { Machine } from '../world/machine.ts';
import type { SimProcess } from '../world/sim-process.ts';
import { Violation } from '../world/violation.ts';
import type { World } from '../world/world.ts';
import type { Damages } from './damages.ts';
import { hexOf } from './hex.ts';
import { LastWrites } from './last-writes.ts';
import { lackingPlaces } from './placement.ts';
import { lackingLists } from './trusting.ts';

const contentsMax = 40;
interface Lacking {
  readonly invariant: string;
  readonly what: string;
}

/** How often it is looked whether all has converged. */
const lookMs = 1_000;

/** The second phase: faults end, what is left is whole, and must come to agree within a stated time (I8). */
export class Convergence {
  readonly #world: World;
  #lacks: Lacking | undefined;

  constructor(world: World) {
    this.#world = world;
  }

  async heal(): Promise<void> {
    const world = this.#world;
    world.isHealed = true;
    world.healedMs = world.time.nowMs;
    world.trace.add(world.time.nowMs, 'all is healed');
    Object.assign(world.hub.needs.manner, { gossipLoss: 0, streamLoss: 0, gossipLateMs: 0 });
    for (const [number, machine] of world.machines.entries()) {
      const { diskManner } = machine;
      Object.assign(diskManner, world.plan.machines[number]?.disk, { isLow: false, failNext: undefined });
      machine.clockOffsetMs = 0;
      for (const faults of [machine.ipfsFaults, machine.process?.connector.faults])
        if (faults) Object.assign(faults, noFaults());
      if (!world.plan.leftDown.includes(number) && number < world.plan.machines.length) continue;
      machine.isGone = true;
      world.crash(machine, 'machine');
      world.promises.diskLost(machine);
    }
    world.hub.heal();
    for (const machine of world.machines) world.start(machine);
    world.hub.redial();
    world.client(careForAll(world));
    if (world.plan.keepsTrust) return;
    for (const machine of world.machines) if (!machine.isGone) world.client(changeTrust(world, machine, 'all'));
  }

  /** Each writes once more, where not all trust all. */
  async writeAgain(): Promise<void> {
    const world = this.#world;
    const up = world.up();
    if (up.every(({ machine }) => machine.trustedPeers.includes('*'))) return;
    const writes = new LastWrites(world);
    const under = new Set(up.filter(({ machine }) => !machine.isFollower));
    for (const process of under) world.client(writes.write(process).finally(() => under.delete(process)));
    await this.#idle('last writes', () => under.size === 0);
    await this.reached();
    writes.check(up);
  }

  /** Lets time pass until all have converged; fails with what was still lacking when the time is over. */
  async reached(): Promise<void> {
    const world = this.#world;
    const untilMs = world.time.nowMs + world.plan.convergeWithinMs;
    let isReached = false;
    while (!isReached) {
      if (world.time.nowMs >= untilMs) {
        const { invariant, what } = this.#lacks ?? { invariant: 'I8', what: 'nothing was looked at' };
        throw new Violation(invariant, `not converged within ${world.plan.convergeWithinMs} ms: ${what}`);
      }
      await world.advance(world.time.nowMs + lookMs);
      isReached = await this.#isReached();
    }
    world.trace.add(world.time.nowMs, 'converged');
    this.#checkPromises();
  }

  /** Everything stops, and nothing is left running. */
  async end(): Promise<void> {
    const world = this.#world;
    world.isEnding = true;
    for (const watcher of world.watchers) watcher.stop();
    await this.#idle('clients', () => world.clients.size === 0);
    const stops = Promise.all(world.up().map(({ machine }) => world.stop(machine)));
    let isDone = false;
    world.client(
      stops.then(() => {
        isDone = true;
      }),
    );
    await this.#idle('stops', () => isDone);
    if (world.hub.links.length > 0) throw new Violation('STOP', `${world.hub.links.length} connections are left`);
  }

  async #idle(what: string, isOver: () => boolean): Promise<void> {
    const world = this.#world;
    const untilMs = world.time.nowMs + 60_000;
    while (!isOver()) {
      if (world.time.nowMs >= untilMs) throw new Violation('STOP', `not ended within 60 s: ${what}`);
      await world.advance(world.time.nowMs + 100);
    }
  }

  #checkPromises(): void {
    const world = this.#world;
    const up = world.up();
    world.promises.checkKept(up);
  }

  async #isReached(): Promise<boolean> {
    const lacks = await this.#lacking();
    // Who is writing at that moment says nothing of what is wrong.
    if (lacks === undefined || !lacks.what.endsWith('is writing') || this.#lacks === undefined) this.#lacks = lacks;
    return lacks === undefined;
  }

  async #lacking(): Promise<Lacking | undefined> {
    const world = this.#world;
    const up = world.up();
    const expected = world.machines.filter(({ isGone }) => !isGone);
    if (up.length < expected.length)
      return { invariant: 'I8', what: `${expected.length - up.length} peers do not run` };
    const first = up.find(({ machine }) => !machine.isFollower);
    if (first === undefined) return undefined;
    for (const process of up) {
      const { phase } = process.core.consensus.status();
      if (phase !== 'ready') return { invariant: 'I8', what: `${process.name} is ${phase}` };
      const lacking = up.find(
        ({ machine }) => process.machine.trusts(machine) && !machine.isFollower && !covers(world, process, machine),
      );
      if (lacking !== undefined) return { invariant: 'I8', what: `${process.name} lacks what ${lacking.name} has` };
    }
    const unknown = lackingLists(up);
    if (unknown !== undefined) return { invariant: 'T4', what: unknown };
    for (const process of up)
      if (!process.disk.isSettled) return { invariant: 'I8', what: `${process.name} is writing` };
    const damage = world.damagesLeft();
    if (damage !== undefined) return { invariant: 'DAMAGE', what: damage };
    const byClock = new Map(up.map((process) => [clockOf(world, process), process]));
    for (const process of up) {
      const other = byClock.get(clockOf(world, process)) ?? process;
      if (compareBytes(process.core.pinset.digest.root(), other.core.pinset.digest.root()) !== 0) {
        throw new Violation('I2', `${process.name} and ${other.name} have one clock and two digests`);
      }
    }
    return (
      (await this.#lackingAtNodes(up)) ??
      this.#lackingInStories() ??
      this.#lackingMembers(up) ??
      this.#lackingPlaces(up)
    );
  }

  /** The tracker's wish is the pinset, for this peer, and the node holds it. */
  async #lackingAtNodes(up: readonly SimProcess[]): Promise<Lacking | undefined> {
    for (const process of up) {
      const told = process.core.tracker.statuses(Array.from({ length: contentsMax }, (_, i) => content(i).cid));
      for (let i = 0; i < contentsMax; i++) {
        const { cid } = content(i);
        const claims = process.core.pinset.claims(cid);
        const isWanted = claims.some(({ pin }) => isAllocatedTo(pin, process.machine.peerId));
        const record = process.machine.ipfsDisk.records.get(cid);
        const status = told[i]?.status;
        if (isWanted && isNowhere(i)) {
          if (status === 'pinned' && !process.machine.hasLied)
            throw new Violation('PINNED', `${process.name} says of content ${i}, which is nowhere, that it is pinned`);
          continue;
        }
        if (isWanted && (status !== 'pinned' || record === undefined))
          return { invariant: 'NODE', what: `${process.name} has content ${i} ${status}, record ${record}` };
        const isUnknown = process.machine.isRestored && (status === 'unpinned' || status === 'remote');
        if (!isWanted && record !== undefined && !isUnknown)
          return { invariant: 'NODE', what: `${process.name} still holds content ${i} (${status})` };
        if (
          isWanted &&
          record === 'recursive' &&
          !process.machine.hasLied &&
          !(await holds(process.machine.ipfsDisk, i))
        ) {
          throw new Violation('PINNED', `the node of ${process.name} has a record of content ${i} and not its blocks`);
        }
      }
    }
    return undefined;
  }

  #lackingMembers(up: readonly SimProcess[]): Lacking | undefined {
    const what = this.#world.members.lacking(up);
    return what === undefined ? undefined : { invariant: 'MEMBERS', what };
  }

  #lackingPlaces(up: readonly SimProcess[]): Lacking | undefined {
    if (!profiles[this.#world.plan.profile].reallocates) return undefined;
    const what = lackingPlaces(this.#world, up);
    return what === undefined ? undefined : { invariant: 'PLACED', what };
  }

  #lackingInStories(): Lacking | undefined {
    for (const watcher of this.#world.watchers) {
      if (watcher.process === undefined) return { invariant: 'WATCH', what: `watch ${watcher.id} follows nobody` };
      if (!watcher.isCaughtUp) return { invariant: 'WATCH', what: `watch ${watcher.id} has not caught up` };
      const difference = storyDifference(watcher, watcher.process, {
        up: this.#world.up(),
        damages: this.#world.damages,
      });
      if (difference !== undefined) return { invariant: 'WATCH', what: difference };
    }
    return undefined;
  }
}

function clockOf(world: World, { machine }: SimProcess): string {
  return world.checkerOf(machine).heads().join(' ');
}

/** A follower may have more than others, for nobody takes it from there. */
function covers(world: World, { machine }: SimProcess, of: Machine): boolean {
  const checker = world.checkerOf(machine);
  return world
    .checkerOf(of)
    .heads()
    .every((hash) => checker.holds(hash));
}

/** What differs between the story of a watch and the listing of the peer that it follows. */
function storyDifference(
  { id, story, event, peers }: Watcher,
  process: SimProcess,
  { up, damages }: { up: readonly SimProcess[]; damages: Damages },
): string | undefined {
  const pins = listed(process).filter(({ pin }) => event.namespace === undefined || pin.namespace === event.namespace);
  const keys = new Set(pins.map(({ key }) => hexOf(key)));
  // Who was told by a peer whose disk had changed it, and goes on at another, is not told again.
  const isMistold = (key: string) => peers.size > 1 && damages.wasEver(key);
  // Only a machine that stays down may know of that, or a disk that is lost.
  const isExcused = (key: string) => {
    const teller = story.tellers.get(key);
    return teller !== undefined && (teller.machine.isGone || teller.machine.storeName !== teller.store);
  };
  for (const key of story.pins.keys())
    if (!keys.has(key) && !isExcused(key) && !isMistold(key))
      return `watch ${id} still tells of ${key.slice(0, 8)}, which is gone`;
  for (const { key, etag, pin } of pins) {
    if (isMistold(hexOf(key))) continue;
    const told = story.pins.get(hexOf(key));
    if (told?.etag !== hexOf(etag) && !isExcused(hexOf(key)))
      return `watch ${id} at ${process.name} has missed ${hexOf(key).slice(0, 8)} ${pin.name}`;
    if (event.pinsOnly) continue;
    for (const other of up) {
      if (!isAllocatedTo(pin, other.machine.peerId)) continue;
      const is = other.core.tracker.statuses([toV1(pin.cid)])[0]?.status;
      const said = story.statuses.get(hexOf(key))?.get(other.machine.peerId) ?? 'pin_queued';
      if (is === 'pinned' && said !== is)
        return `watch ${id} at ${process.name} says ${pin.name} is ${said} on ${other.name}, it is ${is}`;
    }
  }
  return undefined;
}

function listed({ core }: SimProcess): StoredPin[] {
  const pins: StoredPin[] = [];
  let cursor: Uint8Array | undefined;
  do {
    const page = core.pinset.list({
      filter: {},
      order: 'key',
      limit: 1_000,
      ...(cursor === undefined ? {} : { cursor }),
    });
    pins.push(...page.pins);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return pins;
}

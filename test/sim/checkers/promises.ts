import type { Written } from '../../../src/cluster/pins.ts';
import { decodePosition } from '../../../src/consensus/crdt/core/position.ts';
import { toV1 } from '../../../src/model/cid.ts';
import type { WriteEvent } from '../plan/plan.ts';
import { content } from '../world/contents.ts';
import type { Machine } from '../world/machine.ts';
import type { SimProcess } from '../world/sim-process.ts';
import { Violation } from '../world/violation.ts';
import type { World } from '../world/world.ts';
import { hexOf, short } from './hex.ts';

interface Acknowledged {
  readonly rid: string;
  readonly sequence: number;
  readonly what: string;
  /** The machine that answered. */
  readonly at: Machine;
  /** The only disks that had it are lost, or were put back: nobody promised that it outlives them. */
  isExcused: boolean;
  /** The disk of the machine that answered is another one since. */
  isOffOrigin: boolean;
}

/** What clients were told, and whether it stays true. */
export class Promises {
  readonly #world: World;
  readonly #acknowledged: Acknowledged[] = [];
  /** Machine and stream -> up to which number its operations were said to be decided. */
  readonly #decided = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
  }

  get count(): number {
    return this.#acknowledged.length;
  }

  acknowledged(process: SimProcess, { position, level, acknowledgedBy, unseenBy }: Written, event: WriteEvent): void {
    this.acknowledgedPosition(process, position, event.op);
    if (level.kind === 'replicated') this.#checkReplicated(position, level.count);
    if (level.kind === 'pinned') this.#checkPinned(event, level.count, acknowledgedBy);
    if (unseenBy.length > 0) this.#world.trace.add(this.#world.time.nowMs, `not seen by ${unseenBy.length} peers`);
  }

  /** I4. */
  acknowledgedPosition(process: SimProcess, position: Uint8Array, what: string): void {
    const checker = this.#world.checkerOf(process.machine);
    for (const { rid, sequence } of decodePosition(position)) {
      const name = hexOf(rid);
      if (sequence === 0) continue;
      if (!checker.covers(name, sequence)) {
        throw new Violation(
          'I4',
          `${process.name} answered ${what} ${short(name)} ${sequence}, which is not on its disk`,
        );
      }
      this.#acknowledged.push({ rid: name, sequence, what, at: process.machine, isExcused: false, isOffOrigin: false });
    }
  }

  /** A stream's client is told the same or more at the same peer, unless its disk was lost. */
  streamDecided(process: SimProcess, stream: Uint8Array, decided: number): void {
    const id = `${process.machine.name} ${hexOf(stream)}`;
    const before = this.#decided.get(id) ?? 0;
    if (decided < before)
      throw new Violation('6.3', `${process.name} said ${before} of a stream were decided, and then ${decided}`);
    this.#decided.set(id, decided);
  }

  /** A disk is lost, put back, or stays down. What no other disk covers is excused. */
  diskLost(machine: Machine): void {
    for (const id of [...this.#decided.keys()]) if (id.startsWith(`${machine.name} `)) this.#decided.delete(id);
    const others = this.#world.machines.filter((other) => other !== machine && !other.isFollower && !other.isGone);
    for (const promise of this.#acknowledged) {
      promise.isOffOrigin ||= promise.at === machine;
      const isElsewhere = others.some((other) => this.#world.checkerOf(other).covers(promise.rid, promise.sequence));
      if (!isElsewhere) promise.isExcused = true;
    }
  }

  /** Once converged: what was acknowledged is where it was, and with all who take from there. */
  checkKept(processes: readonly SimProcess[]): void {
    for (const promise of this.#acknowledged) if (!promise.isExcused) this.#checkKept(promise, processes);
  }

  #checkKept(promise: Acknowledged, processes: readonly SimProcess[]): void {
    const { what, rid, sequence, at, isOffOrigin } = promise;
    const covers = ({ machine }: SimProcess) => this.#world.checkerOf(machine).covers(rid, sequence);
    // What only a machine knows that stays down has reached nobody; nor does what only a follower has, for nobody takes of it.
    const givers = processes.filter((process) => !process.machine.isFollower && covers(process));
    const isLost = givers.length === 0 && !at.isGone;
    for (const process of processes) {
      const { machine } = process;
      const isDue = isLost || (machine === at && !isOffOrigin) || givers.some((giver) => machine.trusts(giver.machine));
      if (!isDue || covers(process)) continue;
      throw new Violation(
        'I4',
        `${process.name} lacks ${what} ${short(rid)} ${sequence}, which ${at.name} had acknowledged`,
      );
    }
  }

  /** PINNED n: each that is named has had a record of it, and n of them there are. */
  #checkPinned({ op, content: number, to }: WriteEvent, count: number, acknowledgedBy: readonly string[]): void {
    const pinned = op === 'replace' ? to : number;
    const cid = hexOf(toV1(content(pinned).cid));
    const holders = acknowledgedBy.filter((peerId) =>
      this.#world.machines.some((machine) => machine.peerId === peerId && machine.held.has(cid)),
    );
    if (holders.length >= count && holders.length === acknowledgedBy.length) return;
    const told = `PINNED ${count} was answered for content ${pinned}, by ${acknowledgedBy.length} peers`;
    throw new Violation('PINNED', `${told}; ${holders.length} of their nodes have ever held it`);
  }

  /** I5. */
  #checkReplicated(position: Uint8Array, count: number): void {
    for (const { rid, sequence } of decodePosition(position)) {
      const name = hexOf(rid);
      const holders = new Set(
        this.#world.machines
          .filter((machine) => this.#world.checkerOf(machine).everCovered(name, sequence))
          .map(({ peerId }) => peerId),
      );
      if (holders.size < count) {
        throw new Violation(
          'I5',
          `REPLICATED ${count} was answered for ${short(name)} ${sequence}; ${holders.size} disks have it`,
        );
      }
    }
  }
}

import type { Written } from '../../../src/cluster/pins.ts';
import { decodePosition } from '../../../src/consensus/crdt/core/position.ts';
import { toV1 } from '../../../src/model/cid.ts';
import type { WriteEvent } from '../plan/plan.ts';
import { content } from '../world/contents.ts';
import type { Machine } from '../world/machine.ts';
import type { SimProcess } from '../world/sim-process.ts';
import { Violation } from '../world/violation.ts';
import type { World } from '../world/world.ts';
import type { BatchRecord } from './batch-record.ts';
import { isParted } from './fork-rows.ts';
import { hexOf, short } from './hex.ts';
import { identityOf } from './history.ts';
import type { StoreChecker } from './store-checker.ts';

interface Acknowledged {
  readonly rid: string;
  readonly sequence: number;
  readonly what: string;
  /** Its author may write it again as another replica (N4). */
  readonly identity: string | undefined;
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
    if (level.kind === 'replicated') this.#checkReplicated(process, position, level.count);
    if (level.kind === 'pinned') this.#checkPinned(event, level.count, acknowledgedBy);
    if (unseenBy.length > 0) this.#world.trace.add(this.#world.time.nowMs, `not seen by ${unseenBy.length} peers`);
  }

  /** I4. */
  acknowledgedPosition(process: SimProcess, position: Uint8Array, what: string): void {
    const checker = this.#world.checkerOf(process.machine);
    for (const { rid, sequence } of decodePosition(position)) {
      const name = hexOf(rid);
      if (sequence === 0) continue;
      const isWrittenAgain = this.#world.history.isForkable(name, sequence) && this.#givenUpAt(checker, name, sequence);
      if (!checker.covers(name, sequence) && !isWrittenAgain) {
        throw new Violation(
          'I4',
          `${process.name} answered ${what} ${short(name)} ${sequence}, which is not on its disk`,
        );
      }
      const batch = checker.batchAt(name, sequence) ?? this.#givenUpAt(checker, name, sequence);
      const operation = batch?.operations[sequence - batch.first];
      const identity = batch && operation && identityOf(batch.author, operation);
      const at = process.machine;
      this.#acknowledged.push({ rid: name, sequence, what, identity, at, isExcused: false, isOffOrigin: false });
    }
  }

  /** What stood there before the author went back: an answer may come that late. */
  #givenUpAt(checker: StoreChecker, rid: string, sequence: number): BatchRecord | undefined {
    return this.#world.history
      .batchesOf(rid)
      .findLast(({ hash, first, last }) => first <= sequence && sequence <= last && checker.everHeld(hash));
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
    this.#forgetStreams(machine);
    const others = this.#world.machines.filter((other) => other !== machine && !other.isFollower && !other.isGone);
    for (const promise of this.#acknowledged) {
      promise.isOffOrigin ||= promise.at === machine;
      if (!others.some((other) => this.#has(other, promise))) promise.isExcused = true;
    }
  }

  /** An operator has left a store of which all that matters is elsewhere, as its peer said. */
  diskLeft(machine: Machine): void {
    for (const promise of this.#acknowledged) promise.isOffOrigin ||= promise.at === machine;
    this.#forgetStreams(machine);
  }

  #forgetStreams({ name }: Machine): void {
    for (const id of [...this.#decided.keys()]) if (id.startsWith(`${name} `)) this.#decided.delete(id);
  }

  /** What it names, or what its author has written in its place. */
  #has(machine: Machine, { rid, sequence, identity }: Acknowledged): boolean {
    const { history } = this.#world;
    const checker = this.#world.checkerOf(machine);
    if (identity === undefined || !history.isForkable(rid, sequence)) return checker.covers(rid, sequence);
    return history.copiesOf(identity).some((hash) => checker.holds(hash));
  }

  /** Once converged: what was acknowledged is where it was, and with all who take from there. */
  checkKept(processes: readonly SimProcess[]): void {
    for (const promise of this.#acknowledged) if (!promise.isExcused) this.#checkKept(promise, processes);
  }

  #checkKept(promise: Acknowledged, processes: readonly SimProcess[]): void {
    const { what, rid, sequence, at, isOffOrigin } = promise;
    const covers = ({ machine }: SimProcess) => this.#has(machine, promise);
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
  #checkReplicated({ machine: at, disk }: SimProcess, position: Uint8Array, count: number): void {
    for (const { rid, sequence } of decodePosition(position)) {
      const name = hexOf(rid);
      // Acknowledged by number: until it hears of the other history, a peer cannot tell which of two is meant.
      if (this.#world.history.isForkable(name, sequence) && !isParted(disk.flushedReader(), name, sequence)) continue;
      const hash = this.#world.checkerOf(at).batchAt(name, sequence)?.hash ?? '';
      const holders = new Set(
        this.#world.machines
          .filter((machine) => this.#world.checkerOf(machine).everHeld(hash))
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

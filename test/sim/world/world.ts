import { peerTables } from '../../../src/daemon/peer-core.ts';
import { IpfsWorld } from '../../../src/ipfs/memory/ipfs-world.ts';
import { memoryConnector } from '../../../src/ipfs/memory/memory-connector.ts';
import type { Logger } from '../../../src/runtime/logger.ts';
import { memoryStorage } from '../../../src/storage/memory/memory-storage.ts';
import type { Reader } from '../../../src/storage/storage.ts';
import { Convergence } from '../checkers/convergence.ts';
import { checkCut } from '../checkers/cuts.ts';
import { Damages, damageAlerts } from '../checkers/damages.ts';
import { checkDigest } from '../checkers/digests.ts';
import { History } from '../checkers/history.ts';
import { Members } from '../checkers/members.ts';
import { checkMoved } from '../checkers/placement.ts';
import { Promises } from '../checkers/promises.ts';
import { StoreChecker } from '../checkers/store-checker.ts';
import { checkTold } from '../checkers/told.ts';
import { checkTaken } from '../checkers/trusting.ts';
import { leaveForked } from '../clients/leave-forked.ts';
import type { Watcher } from '../clients/watcher.ts';
import type { Plan } from '../plan/plan.ts';
import { fill } from './contents.ts';
import { happen } from './happen.ts';
import { identity } from './identities.ts';
import { Machine } from './machine.ts';
import { settle } from './outside-world.ts';
import { processLogger } from './process-logger.ts';
import { SimHub } from './sim-hub.ts';
import { SimProcess } from './sim-process.ts';
import { SimRandom } from './sim-random.ts';
import { SimTime, TimerOwner } from './sim-time.ts';
import { Trace } from './trace.ts';
import { Violation } from './violation.ts';

const wallStartMs = 1_800_000_000_000;
/** Full checks of every store come so often, in events. */
const eventsPerFullCheck = 1_000;
const contentsMax = 40;
const lateMs = 700_000;

export interface WorldOptions {
  isTraceKept: boolean;
  /** Log lines of the peers go into the trace. */
  isLogKept: boolean;
}

/** One plan, carried out: machines, network, clients, and the checkers that look on. */
export class World {
  readonly plan: Plan;
  readonly options: WorldOptions;
  readonly time = new SimTime();
  readonly owner = new TimerOwner('world');
  readonly trace: Trace;
  readonly hub: SimHub;
  readonly ipfs: IpfsWorld;
  readonly machines: Machine[];
  readonly history = new History();
  readonly promises: Promises;
  readonly members = new Members();
  readonly damages = new Damages();
  readonly watchers: Watcher[] = [];
  /** Clients that are under way. */
  readonly clients = new Set<Promise<void>>();
  events = 0;
  isHealed = false;
  healedMs = Number.POSITIVE_INFINITY;
  /** All is looked at; clients are to end. */
  isEnding = false;
  #failure: unknown;
  readonly #checkers = new Map<Machine, StoreChecker>();

  constructor(plan: Plan, options: WorldOptions) {
    this.plan = plan;
    this.options = options;
    this.trace = new Trace(options.isTraceKept);
    const random = new SimRandom(plan.seed, 'hub');
    this.hub = new SimHub({ time: this.time, owner: this.owner, random, manner: { ...plan.network } });
    this.ipfs = new IpfsWorld({ timers: this.time.timersOf(this.owner) }, { latencyMs: plan.network.latencyMs });
    this.machines = plan.machines.map((_, i) => this.#machine(i));
    this.promises = new Promises(this);
  }

  wallMs(): number {
    return wallStartMs + this.time.nowMs;
  }

  machine(number: number): Machine {
    const machine = this.machines[number];
    if (machine === undefined) throw new Error(`there is no machine ${number}`);
    return machine;
  }

  /** Undefined: it is not there to be asked. */
  running(number: number): SimProcess | undefined {
    const { process } = this.machine(number);
    return process?.isRunning ? process : undefined;
  }

  /** Those that run and can be looked at: what has just failed answers nothing any more. */
  up(): SimProcess[] {
    return this.machines.flatMap(({ process }) => (process?.isRunning && !process.disk.hasFailed ? [process] : []));
  }

  checkerOf(machine: Machine): StoreChecker {
    const known = this.#checkers.get(machine);
    if (known !== undefined) return known;
    const { name: who, peerId } = machine;
    const checker = new StoreChecker({ who, peerId }, this.history, this.damages, {
      onCut: (rid, floor) => checkCut(this, machine, rid, floor),
      onTaken: (batch) => {
        checkTaken(this, machine, batch);
        checkMoved(this, machine, batch);
      },
    });
    this.#checkers.set(machine, checker);
    return checker;
  }

  /** The first thing found wrong ends the world. */
  fail(problem: unknown): void {
    this.#failure ??= problem;
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** Throws what was found wrong. */
  async run(): Promise<void> {
    await this.#begin();
    await this.advance(this.plan.faultsUntilMs);
    const convergence = new Convergence(this);
    await convergence.heal();
    await convergence.reached();
    await convergence.writeAgain();
    this.checkAll();
    await convergence.end();
  }

  /** Lets the time pass, event by event, as long as nothing is found wrong. */
  async advance(untilMs: number, isOver: () => boolean = () => false): Promise<void> {
    while (!isOver()) {
      const owner = this.time.fireNext(untilMs);
      if (owner === undefined) break;
      await settle();
      this.events++;
      if (this.events % eventsPerFullCheck === 0) this.checkAll();
      if (this.hasFailed) break;
    }
    if (this.hasFailed) throw this.#failure;
    if (!isOver()) this.time.nowMs = Math.max(this.time.nowMs, untilMs);
  }

  checkAll(): void {
    for (const process of this.machines.map((machine) => machine.process)) {
      if (process !== undefined && process.state !== 'dead' && process.isOpen) this.#checkStore(process, true);
    }
    for (const process of this.up()) checkTold(process, this.damages.of(process.machine.name));
  }

  /** Everything in one store, now. */
  look(process: SimProcess): void {
    if (process.isRunning && process.isOpen) this.#checkStore(process, true);
  }

  /** What is still damaged of what can be put right. */
  damagesLeft(): string | undefined {
    if (!this.damages.wereAny) return undefined;
    const up = this.up();
    // Of who is away nobody can see whether it has been put right.
    const isAway = (alert: { peerId: string }) => !up.some(({ machine }) => machine.peerId === alert.peerId);
    for (const process of up) {
      const damaged = this.damages.of(process.machine.name);
      if (!damaged.isWhole) this.look(process);
      const [first] = damaged.standing();
      if (first !== undefined) return `${process.name} has still ${first.what} of ${first.key.slice(0, 8)}`;
      const { alerts } = process.core.consensus.status();
      const alert = alerts.find((each) => damageAlerts.includes(each.kind) && !isAway(each));
      if (alert !== undefined) return `${process.name} still says ${alert.kind}: ${alert.message}`;
    }
    return undefined;
  }

  /** Runs beside everything else; what it throws ends the world. */
  client(work: Promise<void>): void {
    const done = work.catch((problem) => this.fail(problem)).finally(() => this.clients.delete(done));
    this.clients.add(done);
  }

  watch(watcher: Watcher): void {
    this.watchers.push(watcher);
    this.client(watcher.run());
  }

  /** Something has reached the disk of a process. */
  flushed(process: SimProcess): void {
    if (process.state !== 'dead' && process.isOpen) this.#checkStore(process, false);
  }

  /** What the daemon does when its store cannot be written any more: it ends, and is started again. */
  storeFailed(process: SimProcess): void {
    if (process.isDead) return;
    this.trace.add(this.time.nowMs, `${process.name}: its store has failed`);
    this.#end(process, 'machine');
    this.startLater(process.machine, process.machine.downMs);
  }

  start(machine: Machine): void {
    if (machine.process !== undefined || machine.isGone || this.isOver) return;
    const process = new SimProcess(this, machine, ++machine.processes, machine.store);
    machine.process = process;
    this.trace.add(this.time.nowMs, `${process.name} starts`);
    this.client(
      process.lifecycle.start().then(
        () => {
          if (process.state === 'starting') process.state = 'running';
          machine.absences.push([machine.awaySinceMs ?? this.time.nowMs, this.time.nowMs]);
          machine.awaySinceMs = undefined;
          this.trace.add(this.time.nowMs, `${process.name} runs`);
        },
        (problem) => {
          if (process.isDead) return;
          if (process.disk.hasFailed) return this.storeFailed(process);
          throw new Violation('START', `${process.name} does not start`, { cause: problem });
        },
      ),
    );
  }

  startLater(machine: Machine, delayMs: number): void {
    this.time.after(this.owner, delayMs, () => this.start(machine));
  }

  crash(machine: Machine, of: 'machine' | 'process'): void {
    if (machine.process === undefined) return;
    this.trace.add(this.time.nowMs, `${machine.process.name} crashes (${of})`);
    this.#end(machine.process, of);
  }

  /** In order, as a signal to the daemon does it. Resolves when the process has ended. */
  async stop(machine: Machine): Promise<void> {
    const { process } = machine;
    if (process === undefined || process.state === 'stopping') return;
    process.state = 'stopping';
    this.trace.add(this.time.nowMs, `${process.name} stops`);
    try {
      process.closeDoors();
      await process.lifecycle.stop();
    } catch (problem) {
      if (!process.isDead && !process.disk.hasFailed)
        throw new Violation('STOP', `${process.name} does not stop cleanly`, { cause: problem });
    }
    if (process.isDead) return;
    if (process.disk.hasFailed) return this.storeFailed(process);
    this.trace.add(this.time.nowMs, `${process.name} has stopped`);
    const left = process.owner.pending;
    if (left > 0) {
      const what = this.time.pendingOf(process.owner).join('; ');
      throw new Violation('STOP', `${process.name} has stopped and ${left} of its timers still run: ${what}`);
    }
    this.#end(process, 'machine');
  }

  loggerOf(process: SimProcess): Logger {
    return processLogger(this, process);
  }

  /** What heals by itself has had the time for it. */
  get isLate(): boolean {
    return this.time.nowMs - this.healedMs > lateMs;
  }

  get isOver(): boolean {
    return this.hasFailed;
  }

  async #begin(): Promise<void> {
    const { plan } = this;
    const timers = this.time.timersOf(this.owner);
    const clock = { nowMs: () => this.wallMs(), monotonicMs: () => this.time.nowMs };
    const origin = memoryConnector({ peerId: 'origin', world: this.ipfs }, { clock, timers });
    await fill(origin.disk, contentsMax);
    await origin.start();
    plan.machines.forEach(({ joinsAtMs }, i) => {
      this.startLater(this.machine(i), joinsAtMs ?? 0);
    });
    if (plan.leavesForked) this.client(leaveForked(this));
    for (const event of plan.events) {
      this.time.after(this.owner, event.atMs, () => {
        this.trace.add(this.time.nowMs, `event ${event.id} ${JSON.stringify(event)}`);
        happen(this, event);
      });
    }
  }

  #machine(number: number): Machine {
    const { plan } = this;
    const { name, config, bootstrap, disk, clockOffsetMs } = plan.machines[number] as Plan['machines'][number];
    const peerIds = bootstrap.map((other) => identity(other).peerId);
    return new Machine(
      {
        name,
        signer: identity(number),
        config: { ...config, network: { bootstrap: peerIds } },
        bootstrap: peerIds,
        diskManner: disk,
        clockOffsetMs,
      },
      memoryStorage({ tables: peerTables, flush: 'manual' }),
    );
  }

  #end(process: SimProcess, of: 'machine' | 'process'): void {
    const { machine } = process;
    machine.store = process.disk.crash(of);
    process.end(`${process.name} has ended`);
    machine.process = undefined;
    machine.awaySinceMs ??= this.time.nowMs;
    // What has reached the disk in its last moment: others will hear of it before the next flush.
    if (process.isOpen) this.#checkReader(process, machine.store.read, false);
  }

  #noteHolders({ holders, core }: SimProcess): void {
    for (const { peerId } of core.consensus.status().log.holders) {
      if (!holders.has(peerId)) holders.set(peerId, this.time.nowMs);
    }
  }

  #checkStore(process: SimProcess, isAll: boolean): void {
    this.#checkReader(process, process.disk.flushedReader(), isAll);
  }

  #checkReader(process: SimProcess, reader: Reader, isAll: boolean): void {
    try {
      const checker = this.checkerOf(process.machine);
      const { names } = process.core.pinset;
      checker.check(reader, names);
      const isAnswering = !process.disk.hasFailed;
      if (process.isRunning && isAnswering) this.#noteHolders(process);
      if (!isAll) return;
      checker.checkAll(reader, names);
      if (isAnswering) checkDigest(process, checker.truth.rows.keys(), this.damages.of(process.machine.name));
    } catch (problem) {
      this.fail(problem);
    }
  }
}

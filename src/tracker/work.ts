import { byteString } from '../model/bytes.ts';
import type { Pinset } from '../pinset/pinset.ts';
import { raceSignal } from '../runtime/abort.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import { mark } from '../runtime/mark.ts';
import type { Random } from '../runtime/random.ts';
import type { Storage } from '../storage/storage.ts';
import {
  type AttemptNeeds,
  attempt,
  classOf,
  failedRow,
  type Job,
  newJob,
  queuedRow,
  queuedStatus,
} from './attempt.ts';
import type { Concurrency } from './concurrency.ts';
import {
  DUE_CHECK_INTERVAL_MS,
  DUE_WISHES_MAX,
  DUE_WISHES_OF_FLOW_MIN,
  GROUP_ROWS_MAX,
  SHOW_ATTEMPT_AFTER_MS,
  STARTS_PER_TURN,
} from './constants.ts';
import { changeWant, type Entry, type LaneName, Lanes, type Piece } from './lanes.ts';
import type { TrackerMetrics } from './metrics.ts';
import type { NodeWatch } from './node-watch.ts';
import type { TrackerOptions } from './options.ts';
import type { SaidOtherwise } from './said-otherwise.ts';
import type { StatusIndex } from './status-index.ts';
import type { StatusRow } from './status-row.ts';
import { Successors } from './successors.ts';
import type { DueLane } from './tables.ts';
import { type Decision, decide, type Known, type Occasion, pinnedRow, type Wanted, wantedIn } from './wish.ts';

export interface WorkNeeds extends AttemptNeeds {
  peerId: string;
  pinset: Pick<Pinset, 'claims'>;
  storage: Storage;
  index: StatusIndex;
  node: NodeWatch;
  concurrency: Concurrency;
  metrics: TrackerMetrics;
  said: SaidOtherwise;
  clock: Clock;
  random: Random;
}

export interface ConsiderInit {
  occasion: Occasion;
  lane: LaneName;
  flow: number;
  maybeHeld?: boolean;
  isFull?: boolean;
}

type Outcome = { kind: 'done' } | { kind: 'failed'; error: unknown };

/**
 * The wishes being worked on. Each is an entry: it waits in a lane or has one job under way, and goes when nothing is
 * left to do or its row says when to come back. What an entry acts upon was read from a pinset that is flushed since
 * (F1): it does not begin while a flush is held against it.
 */
export class Work {
  readonly #options: TrackerOptions;
  readonly #needs: WorkNeeds;
  readonly #onFailure: (error: unknown) => void;
  readonly lanes = new Lanes();
  readonly #entries = new Map<string, Entry>();
  readonly #running = new Set<Entry>();
  readonly #successors = new Successors();
  readonly #open = { feed: 0, walk: 0 };
  #room = Promise.withResolvers<void>();
  #ended = Promise.withResolvers<void>();
  #startsLeft = STARTS_PER_TURN;
  #turn: Timer | undefined;
  #showTimer: Timer | undefined;
  #dueTimer: Timer | undefined;
  #state: 'stopped' | 'running' = 'stopped';

  constructor(options: TrackerOptions, needs: WorkNeeds, onFailure: (error: unknown) => void) {
    this.#options = options;
    this.#needs = needs;
    this.#onFailure = onFailure;
  }

  get underWay(): number {
    return this.#running.size;
  }

  entry(cid: Uint8Array): Readonly<Entry> | undefined {
    return this.#entries.get(byteString(cid));
  }

  /** How many attempts may be under way at present. */
  limit(lane: DueLane): number {
    if (lane === 'pin') return this.#needs.concurrency.limit;
    return Math.max(1, Math.floor(this.#options.concurrentPinsMax / 2));
  }

  /** Wishes in memory to be pinned that have no row. */
  fresh(): number {
    let count = 0;
    for (const { hasRow, want } of this.#entries.values()) if (!hasRow && want.kind === 'pin') count++;
    return count;
  }

  open(source: Piece['source']): number {
    return this.#open[source];
  }

  start(): void {
    this.#state = 'running';
    this.checkDue();
  }

  /** Aborts what is under way and resolves when it has ended. Rows stay as they are. */
  async stop(): Promise<void> {
    this.#state = 'stopped';
    for (const timer of [this.#turn, this.#showTimer, this.#dueTimer]) timer?.cancel();
    for (const { job } of this.#running) job?.controller.abort(new Error('the tracker stops'));
    while (this.#running.size > 0) await this.#ended.promise;
  }

  hasRoom(source: Piece['source'], max: number): boolean {
    return this.#open[source] < max && this.#needs.index.waiting < GROUP_ROWS_MAX;
  }

  /** Resolves when fewer wishes than that of the source are open. Rejects with the signal's reason. */
  async room(source: Piece['source'], max: number, signal: AbortSignal): Promise<void> {
    while (!this.hasRoom(source, max)) await raceSignal(this.#room.promise, signal);
  }

  /**
   * Looks at a wish. If there is something to do, or something is being done, an entry is answered, against which a flush
   * is held: `unhold` it. A row that is to be written is put at once. `full`: there is something to do, and no new entry is to
   * be made.
   */
  consider(cid: Uint8Array, init: ConsiderInit): Entry | 'written' | 'full' | undefined {
    const want = wantedIn(this.#needs.pinset, cid, this.#needs.peerId);
    if (want === undefined) return undefined;
    const key = byteString(cid);
    const present = this.#entries.get(key);
    if (present !== undefined) {
      changeWant(present, want, init.occasion);
      present.maybeHeld ||= init.maybeHeld ?? false;
      if (init.lane === 'front' && present.lane === 'retry') this.lanes.toFront(present);
      else this.lanes.toFlow(present, init.flow);
      present.holds++;
      return present;
    }
    const row = this.#needs.index.newest(cid);
    const decision = this.#decide(cid, want, { row, maybeHeld: init.maybeHeld ?? false }, init.occasion);
    if (decision.kind === 'nothing') return undefined;
    if (decision.kind === 'write') {
      this.#needs.index.put(cid, decision.row);
      return 'written';
    }
    if (init.isFull === true) return 'full';
    const entry: Entry = {
      key,
      cid,
      want,
      lane: init.lane,
      flow: init.flow,
      holds: 1,
      pieces: [],
      hasRow: row !== undefined,
      maybeHeld: init.maybeHeld ?? false,
      isAgain: false,
      isQueued: false,
      job: undefined,
    };
    this.#entries.set(key, entry);
    this.#successors.add(entry);
    return entry;
  }

  attach(entry: Entry, piece: Piece): void {
    entry.pieces.push(piece);
    piece.open++;
    this.#open[piece.source]++;
  }

  unhold(entries: readonly Entry[]): void {
    for (const entry of entries) {
      entry.holds--;
      this.#enqueue(entry);
    }
    this.pump();
  }

  /** Begins what may begin. Cheap when there is nothing. */
  pump(): void {
    const { index, node } = this.#needs;
    if (this.#state !== 'running') return;
    const [pinsMax, unpinsMax] = [this.limit('pin'), this.limit('unpin')];
    while (!node.isDown && index.waiting < GROUP_ROWS_MAX) {
      if (this.#startsLeft === 0) {
        this.#nextTurn();
        return;
      }
      const entry = this.lanes.next(pinsMax, unpinsMax);
      if (entry === undefined) return;
      if (entry.holds === 0) this.#begin(entry);
    }
  }

  /** Takes up what is due, and comes back when the next is. */
  checkDue(): void {
    if (this.#state !== 'running') return;
    const { index, clock, timers } = this.#needs;
    if (!this.#needs.node.isDown) for (const lane of ['pin', 'unpin'] as const) this.#loadDue(lane);
    this.#dueTimer?.cancel();
    const nowMs = clock.nowMs();
    const inMs = Math.min((index.nextDueMs(nowMs) ?? Number.POSITIVE_INFINITY) - nowMs, DUE_CHECK_INTERVAL_MS);
    this.#dueTimer = timers.after(Math.max(1, inMs), () => this.checkDue());
  }

  /** Puts a row for each attempt that has become long enough to be told. */
  showAttempts(): void {
    const nowMs = this.#needs.clock.monotonicMs();
    for (const entry of this.#running) {
      const { job } = entry;
      if (job === undefined || job.isShown || nowMs - job.startedMonotonicMs < SHOW_ATTEMPT_AFTER_MS) continue;
      if (this.#state !== 'running') continue;
      job.isShown = true;
      entry.hasRow = true;
      const row = this.#needs.index.newest(entry.cid);
      const status = job.action === 'pin' ? 'pinning' : 'unpinning';
      this.#needs.index.put(entry.cid, { ...queuedRow(status, job.startedMs, row, entry.flow), held: 'none' });
    }
  }

  #decide(cid: Uint8Array, want: Wanted, known: Known, occasion: Occasion): Decision {
    const at = { nowMs: this.#needs.clock.nowMs(), unpinDelayMs: this.#options.unpinDelayMs };
    const decision = decide(want, known, occasion, at);
    return (decision.kind === 'nothing' && this.#needs.said.corrected(cid, want, known.row)) || decision;
  }

  /** Of each flow some, so that the retries of one namespace, however many, leave those of another their turns. */
  #loadDue(lane: DueLane): void {
    const { index, clock, storage } = this.#needs;
    const flows = [...index.dueFlows(lane)];
    const limit = Math.max(DUE_WISHES_OF_FLOW_MIN, Math.floor(DUE_WISHES_MAX / flows.length));
    const isPassedOver = (cid: Uint8Array) => this.#entries.has(byteString(cid));
    const held: Entry[] = [];
    for (const flow of flows) {
      if (this.lanes.retries(lane, flow) > limit / 2) continue;
      for (const cid of index.due(lane, flow, clock.nowMs(), { limit, isPassedOver })) {
        const entry = this.consider(cid, { occasion: 'seen', lane: 'retry', flow });
        if (typeof entry === 'object') held.push(entry);
      }
    }
    if (held.length === 0) return;
    storage
      .flushed()
      .then(() => this.unhold(held))
      .catch(this.#onFailure);
  }

  #enqueue(entry: Entry): void {
    if (entry.holds > 0 || entry.isQueued || entry.job !== undefined) return;
    if (this.#entries.get(entry.key) === entry) this.lanes.add(entry);
  }

  #nextTurn(): void {
    this.#turn ??= this.#needs.timers.after(0, () => {
      this.#turn = undefined;
      this.#startsLeft = STARTS_PER_TURN;
      this.pump();
    });
  }

  #begin(entry: Entry): void {
    const row = this.#needs.index.newest(entry.cid);
    const decision = this.#decide(entry.cid, entry.want, { row, maybeHeld: entry.maybeHeld }, 'changed');
    if (decision.kind === 'write') this.#needs.index.put(entry.cid, decision.row);
    if (decision.kind === 'nothing' || decision.kind === 'write') {
      this.#settle(entry);
      return;
    }
    if (decision.kind === 'unpin' && this.#successors.holdBack(entry)) return;
    if (this.#startsLeft-- === STARTS_PER_TURN) this.#nextTurn();
    const job = newJob(decision.kind, entry, this.#needs.clock);
    entry.job = job;
    entry.maybeHeld = true;
    this.#running.add(entry);
    this.lanes.began(job);
    this.#showLater();
    attempt(entry.cid, job, this.#needs, this.#options)
      .then(
        () => this.#end(entry, job, { kind: 'done' }),
        (error) => this.#end(entry, job, { kind: 'failed', error }),
      )
      .catch(this.#onFailure);
  }

  #showLater(): void {
    this.#showTimer ??= this.#needs.timers.after(SHOW_ATTEMPT_AFTER_MS, () => {
      this.#showTimer = undefined;
      const unseen = [...this.#running].filter(({ job }) => job?.isShown === false);
      if (unseen.length === 0) return;
      this.#needs.index.nudge();
      this.#showLater();
    });
  }

  #end(entry: Entry, job: Job, outcome: Outcome): void {
    const { index, metrics } = this.#needs;
    entry.job = undefined;
    this.#running.delete(entry);
    this.lanes.ended(job);
    this.#ended.resolve();
    this.#ended = Promise.withResolvers();
    const told = outcome.kind === 'failed' && (job.isStale || this.#state !== 'running') ? 'aborted' : outcome.kind;
    metrics.attempts.add(1, { action: job.action, outcome: told });
    if (outcome.kind === 'done') this.#putDone(entry, job);
    if (this.#state !== 'running') return;
    if (outcome.kind === 'failed') {
      const row = index.newest(entry.cid);
      if (!job.isStale) this.#putFailed(entry, job, row, outcome.error);
      else if (row !== undefined) {
        // An unpin that was given up may have reached the node: it is asked, not believed.
        const held = job.action === 'unpin' ? 'none' : row.held;
        index.put(entry.cid, { ...queuedRow(queuedStatus(entry.want), job.startedMs, row, entry.flow), held });
      }
    }
    entry.hasRow = index.newest(entry.cid) !== undefined;
    this.#letFollow(entry);
    this.#goOn(entry);
    this.pump();
  }

  #putDone(entry: Entry, job: Job): void {
    const { index, clock, concurrency, metrics } = this.#needs;
    const latencyMs = clock.monotonicMs() - job.startedMonotonicMs;
    metrics.latency.observe(latencyMs / 1000, { action: job.action });
    if (job.action === 'pin' && job.want.kind === 'pin') {
      concurrency.succeeded(latencyMs, clock.monotonicMs());
      index.put(entry.cid, pinnedRow(job.want.mode, clock.nowMs()));
    } else {
      index.put(entry.cid, undefined);
      entry.maybeHeld = false;
    }
  }

  #putFailed(entry: Entry, job: Job, row: StatusRow | undefined, failure: unknown): void {
    const { index, clock, random, node, metrics } = this.#needs;
    const errorClass = classOf(failure);
    metrics.errors.add(1, { class: errorClass });
    if (errorClass === 'node_unreachable') {
      mark('tracker: the node does not answer');
      node.down();
    }
    const init = { want: entry.want, row, flow: entry.flow, failure, nowMs: clock.nowMs() };
    index.put(entry.cid, failedRow(job, init, this.#options, random));
  }

  /** After a job: again, if the wish has changed; else the entry goes. */
  #goOn(entry: Entry): void {
    const occasion = entry.isAgain ? 'changed' : 'seen';
    entry.isAgain = false;
    const row = this.#needs.index.newest(entry.cid);
    const isParked = row?.errorClass === 'node_unreachable' && row.retryAtMs === 0;
    const decision = this.#decide(entry.cid, entry.want, { row, maybeHeld: entry.maybeHeld }, occasion);
    if (decision.kind === 'write') this.#needs.index.put(entry.cid, decision.row);
    const isToGoOn = decision.kind === 'pin' || decision.kind === 'unpin';
    if (isToGoOn && !isParked) this.#enqueue(entry);
    else this.#settle(entry);
  }

  #letFollow(entry: Entry): void {
    const waited = this.#successors.ended(entry);
    if (waited !== undefined) this.#enqueue(waited);
  }

  #settle(entry: Entry): void {
    this.#letFollow(entry);
    this.#entries.delete(entry.key);
    for (const piece of entry.pieces) {
      this.#open[piece.source]--;
      if (--piece.open === 0) this.#needs.index.release(piece);
    }
    this.roomMade();
  }

  roomMade(): void {
    this.#room.resolve();
    this.#room = Promise.withResolvers();
  }
}

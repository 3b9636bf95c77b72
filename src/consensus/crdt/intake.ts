import { byteString } from '../../model/bytes.ts';
import { isPinfoldError, PinfoldError } from '../../model/errors.ts';
import { formatPeerId } from '../../model/peer-id.ts';
import type { Timers } from '../../runtime/clock.ts';
import { mark } from '../../runtime/mark.ts';
import type { Transaction } from '../../storage/storage.ts';
import { checkedOperations } from './codec/operations.ts';
import { encodeSignedBatch } from './codec/signed-batch.ts';
import {
  CLOCK_ENTRIES_MAX,
  GROUP_BYTES_MAX,
  GROUP_OPS_MAX,
  GROUPS_IN_FLIGHT_MAX,
  RECEIVED_QUEUED_MAX,
  SMALL_GROUPS_IN_FLIGHT_MAX,
} from './constants.ts';
import { applyOperations, unseenDot } from './core/apply.ts';
import { InvalidBatch } from './core/invalid-batch.ts';
import { judge } from './core/judge.ts';
import { Pending, type PendingLimits } from './core/pending.ts';
import { type RowEntry, TransactionRows } from './core/rows.ts';
import { afterSeenEarly } from './core/seen-early.ts';
import type { Batch, Operations } from './core/types.ts';
import type { CrdtMetrics } from './metrics.ts';
import { remember } from './remember.ts';
import { logKey } from './state/keys.ts';
import type { ClockStep, Replica } from './state/replicas.ts';
import { StagedClock } from './state/staged-clock.ts';
import type { CrdtStore } from './state/store.ts';
import { logTable } from './tables.ts';

export interface IntakeNeeds {
  limits: PendingLimits;
  store: CrdtStore;
  timers: Timers;
  metrics: CrdtMetrics;
  isTrusted(peerId: string): boolean;
  /** A batch came before what it depends on (R4). */
  onPend(from: string): void;
  /** Nothing is taken now, what comes waits (N4). */
  isHeld(): boolean;
  /** R3, R5, or a duplicate that is another (R2): the author wrote two histories. */
  onFork(replica: Replica, batch: Batch, from: string): void;
  /** R6: a dot that its author cannot have seen. */
  onErred(replica: Replica, reason: string): void;
  /** N3: the current own replica was written further than this store knows. Before any of that is taken. */
  onOwnAhead(from: string): void;
  /** An invalid batch came past the first look; its forwarder is to blame. */
  onInvalid(from: string, problem: InvalidBatch): void;
  /** A batch of an author that this store has no room for: it is not taken, and neither is what depends on it. */
  onRefused(author: string, problem: PinfoldError): void;
}

interface Received {
  readonly batch: Batch;
  readonly from: string;
}

/** A batch that will be applied, in the local numbers of this store. */
export interface Prepared {
  readonly batch: Batch;
  readonly replica: Replica;
  readonly content: Operations;
  readonly replicas: readonly number[];
  readonly peers: readonly number[];
}

/**
 * What others wrote, from gossip and Sync alike: one queue, grouped to transactions (R1 to R7). A batch given here has a valid
 * header and signature; its operations are checked when its turn comes.
 */
export class Intake {
  readonly pending: Pending;
  readonly #needs: IntakeNeeds;
  #queue: Received[] = [];
  #inFlight = 0;
  #isScheduled = false;
  #waiters: (() => void)[] = [];
  /** So many of the next batches get a transaction each: together they failed. */
  #alone = 0;
  #isStopped = false;

  constructor(needs: IntakeNeeds) {
    this.#needs = needs;
    this.pending = new Pending(needs.limits);
    Object.assign(needs.metrics.waiting, {
      pendingBatches: () => this.pending.count,
      pendingBytes: () => this.pending.bytes,
      queuedBatches: () => this.#queue.length,
    });
    needs.store.turns.onLive(() => this.#schedule());
  }

  /** C has moved by a swap: what waited may have its turn, or be a duplicate. */
  clockMoved(): void {
    this.#queue.unshift(...this.pending.takeReady(this.#needs.store.replicas));
    this.#schedule();
  }

  /** From gossip, which is a hint: over the limit it is dropped. */
  offer(batch: Batch, from: string): void {
    if (this.#queue.length < RECEIVED_QUEUED_MAX) this.#push(batch, from);
    else this.#needs.metrics.gossipDropped.add(1);
  }

  /** From Sync: waits until there is room. */
  async take(batch: Batch, from: string): Promise<void> {
    this.#push(batch, from);
    while (this.#queue.length > 2 && this.#queuedBytes() > GROUP_BYTES_MAX) await this.#progress();
  }

  /** Something is on its way to the disk. */
  get isBusy(): boolean {
    return this.#inFlight > 0;
  }

  /** What has waited is taken. */
  resume(): void {
    this.#schedule();
  }

  /** What waits is forgotten: it comes again. */
  drop(): void {
    this.#queue = [];
    for (const wake of this.#waiters.splice(0)) wake();
  }

  /** When all that was given is dealt with, nothing more is taken. */
  async stop(): Promise<void> {
    await this.idle();
    this.#isStopped = true;
    this.drop();
  }

  /** Resolves when all that was given is applied, put aside or dropped, and flushed. */
  async idle(): Promise<void> {
    while (this.#queue.length > 0 || this.#inFlight > 0) await this.#progress();
  }

  #queuedBytes(): number {
    let bytes = 0;
    for (const { batch } of this.#queue) bytes += batch.ops.length;
    return bytes;
  }

  #progress(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  #push(batch: Batch, from: string): void {
    // Gossip still comes, until the network stops, too.
    if (this.#isStopped) return;
    this.#queue.push({ batch, from });
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.#pump();
    });
  }

  /** One group in a turn of the event loop, so that the store gets to begin what waits for it, and others have their turn. */
  #pump(): void {
    if (this.#mayBegin()) {
      this.#applyGroup();
      if (this.#mayBegin()) this.#needs.timers.after(0, () => this.#schedule());
    }
    if (this.#needs.store.failure !== undefined) this.#queue = [];
    for (const wake of this.#waiters.splice(0)) wake();
  }

  #mayBegin(): boolean {
    const { store, isHeld } = this.#needs;
    if (this.#queue.length === 0 || this.#isStopped || !store.turns.isLive || store.failure !== undefined || isHeld())
      return false;
    return this.#inFlight < (this.#hasFullGroup() ? GROUPS_IN_FLIGHT_MAX : SMALL_GROUPS_IN_FLIGHT_MAX);
  }

  #hasFullGroup(): boolean {
    let operations = 0;
    return this.#queue.some(({ batch: { head } }) => {
      operations += head.last - head.first + 1;
      return operations >= GROUP_OPS_MAX;
    });
  }

  #applyGroup(): void {
    const { store, metrics, isTrusted } = this.#needs;
    const clock = new StagedClock(store.replicas);
    const taken: Received[] = [];
    const group = this.#nextGroup(clock, taken);
    if (group.length === 0) return;
    const steps = clock.steps();
    let flushed: Promise<void>;
    try {
      const commit = store.needs.storage.transaction((tx) => applyLive(tx, store, group, steps));
      flushed = store.queued(commit, steps, true);
    } catch (failure) {
      store.needs.logger.error('batches of others could not be applied', { error: String(failure) });
      // One of them, over a damaged row maybe, must not hold up the others.
      if (taken.length < 2 || isPinfoldError(failure, 'STORAGE_FAILED')) return;
      this.#queue.unshift(...taken);
      this.#alone = taken.length;
      return;
    }
    this.#inFlight++;
    for (const { content, replica } of group) {
      metrics.taken.add(content.operations.length);
      if (!isTrusted(replica.peerId)) metrics.relayedUntrusted.add(content.operations.length); // T2
    }
    const ready = this.pending.takeReady(store.replicas);
    if (ready.length > 0) mark('crdt intake: what a pending batch waited for has come');
    this.#queue.unshift(...ready);
    void this.#afterFlush(flushed);
  }

  async #afterFlush(flushed: Promise<void>): Promise<void> {
    try {
      await flushed;
    } catch (failure) {
      this.#needs.store.needs.logger.error('batches of others could not be flushed', { error: String(failure) });
    }
    this.#inFlight--;
    this.#pump();
  }

  /** Takes batches from the queue for one transaction, judging each under the clock as it will be then. */
  #nextGroup(clock: StagedClock, taken: Received[]): Prepared[] {
    const group: Prepared[] = [];
    let operations = 0;
    let bytes = 0;
    while (this.#queue.length > 0 && operations < GROUP_OPS_MAX && bytes < GROUP_BYTES_MAX) {
      const received = this.#queue.shift() as Received;
      const isAlone = this.#alone > 0;
      if (isAlone) this.#alone--;
      const prepared = this.#judged(received, clock);
      if (prepared === undefined) continue;
      group.push(prepared);
      taken.push(received);
      if (isAlone) break;
      operations += prepared.content.operations.length;
      bytes += received.batch.ops.length;
    }
    return group;
  }

  /** Whatever a batch meets, those behind it have their turn. */
  #judged(received: Received, clock: StagedClock): Prepared | undefined {
    const { store, onRefused } = this.#needs;
    try {
      return this.#judgedOrThrown(received, clock);
    } catch (problem) {
      const author = formatPeerId(received.batch.head.author);
      if (isPinfoldError(problem, 'LIMIT_REACHED')) onRefused(author, problem);
      else store.needs.logger.error('a batch could not be looked at', { author, error: String(problem) });
      return undefined;
    }
  }

  #judgedOrThrown({ batch, from }: Received, clock: StagedClock): Prepared | undefined {
    const { store, metrics, onPend, onFork, onErred, onInvalid, onOwnAhead } = this.#needs;
    const verdict = judge(clock, batch);
    metrics.batches.add(1, { verdict });
    if (batch.ridText === store.own.ridText && (verdict === 'apply' || verdict === 'pend')) onOwnAhead(from);
    if (verdict === 'apply') {
      try {
        this.#checkRoom(batch, clock);
        const prepared = prepare(store, batch, clock);
        clock.stage({ replica: prepared.replica, sequence: batch.head.last, hash: batch.hash });
        return prepared;
      } catch (problem) {
        if (problem instanceof AuthorErred) onErred(store.replicas.ensure(nameOf(batch)), problem.message);
        else if (problem instanceof RestsElsewhere) metrics.batches.add(1, { verdict: 'frozen' });
        else if (problem instanceof InvalidBatch) onInvalid(from, problem);
        else throw problem;
      }
    } else if (verdict === 'pend') {
      const dropped = this.pending.add(batch, from, store.needs.clock.nowMs());
      if (dropped > 0) mark('crdt intake: a pending batch makes room');
      metrics.pendingDropped.add(dropped);
      onPend(from);
    } else if (verdict === 'fork') {
      onFork(store.replicas.ensure(nameOf(batch)), batch, from);
    }
    return undefined;
  }

  /** Section 9: a longer clock could be told to nobody, and no batch that names it would be valid. The same at every peer. */
  #checkRoom({ ridText }: Batch, clock: StagedClock): void {
    if (clock.taken(ridText)?.sequence) return;
    const { replicas } = this.#needs.store;
    const entries = replicas.entries + clock.steps().filter(({ replica }) => replica.sequence === 0).length;
    if (entries < CLOCK_ENTRIES_MAX) return;
    throw new PinfoldError('LIMIT_REACHED', `the clock has ${entries} entries, the most there can be`);
  }
}

/** R6: its author's own doing, found only here, where what it depends on is known. */
export class AuthorErred extends Error {
  override readonly name = 'AuthorErred';
}

/** N4: its author saw what stands in the history of another that this store has not. It is not to blame, and neither can it be taken. */
export class RestsElsewhere extends Error {
  override readonly name = 'RestsElsewhere';

  constructor(peerId: string) {
    super(`it rests on what ${peerId} wrote in another history than the one here`);
  }
}

export function nameOf({ rid, head }: Batch) {
  return { rid, author: head.author, incarnation: head.incarnation };
}

/**
 * Checks the operations and gives names their local numbers: all that must not be done inside the transaction. Throws
 * InvalidBatch, AuthorErred for a dot that the author cannot have seen, and RestsElsewhere.
 */
export function prepare(store: CrdtStore, batch: Batch, clock: StagedClock): Prepared {
  const content = checkedOperations(batch);
  const { names } = store.needs.pinset;
  const ownPosition = content.rids.findIndex((rid) => Buffer.compare(rid, batch.rid) === 0);
  const covered = (position: number) => {
    const replica = store.replicas.taken(byteString(content.rids[position] as Uint8Array));
    return replica === undefined ? 0 : clock.coveredBy(replica);
  };
  const unseen = unseenDot(content.operations, covered, { ridPosition: ownPosition, first: batch.head.first });
  if (unseen !== undefined) {
    const { ridPosition, sequence } = unseen;
    const seen = store.replicas.taken(byteString(content.rids[ridPosition] as Uint8Array));
    if (seen !== undefined && store.forks.isParted(seen, sequence)) throw new RestsElsewhere(seen.peerId);
    throw new AuthorErred(`a dot (sequence ${sequence}) that it cannot have seen`);
  }
  const replica = store.replicas.ensure(nameOf(batch));
  for (const { key } of content.operations) store.learnNamespace(key);
  // What is seen is covered, so it has its number; what only stands in a table gets none.
  const replicas = content.rids.map((rid) => names.replicas.find(rid) ?? -1);
  const allocated = new Set<number>();
  for (const { allocations } of content.operations) for (const peer of allocations) allocated.add(peer);
  const peers = content.peers.map((peer, i) => (allocated.has(i) ? names.peers.ensure(formatPeerId(peer)) : -1));
  return { batch, replica, content, replicas, peers };
}

/** R6 and C2's tables for batches of others, in one transaction. */
function applyLive(tx: Transaction, store: CrdtStore, group: readonly Prepared[], steps: readonly ClockStep[]): void {
  const { pinset } = store.needs;
  const rows = new TransactionRows();
  for (const prepared of group) {
    applyTo(rows, prepared, store, (key) => pinset.row(tx, key));
    putLog(tx, prepared);
    remember(tx, prepared, store, 'live');
  }
  for (const step of steps) store.replicas.put(tx, step);
  pinset.write(tx, rows.changesAndAbsent());
  store.touched.note(rows);
}

export function applyTo(
  rows: TransactionRows,
  { content, replica, batch, replicas, peers }: Prepared,
  store: CrdtStore,
  read: (key: Uint8Array) => ReturnType<CrdtStore['needs']['pinset']['row']>,
  isTaken?: (key: Uint8Array) => boolean,
): void {
  const tables = { author: replica.number, first: batch.head.first, replicas, peers };
  const rids = store.needs.pinset.names.replicas;
  applyOperations(content.operations, (key) => rows.entry(key, read), tables, rids, isTaken);
  if (!store.forks.hasSeenEarly(replica)) return;
  const operations = content.operations.entries();
  for (const [position, { key }] of operations) {
    if (isTaken?.(key) !== false) applySeenEarly(rows.entry(key, read), replica, batch.head.first + position, store);
  }
}

/** N4: what this store took in too early is done now, to the dot that has come. */
function applySeenEarly(entry: RowEntry, replica: Replica, sequence: number, store: CrdtStore): void {
  const seen = store.forks.seenEarly(replica, sequence, byteString(entry.key));
  if (seen.length === 0) return;
  mark('crdt fork: an operation taken in too early');
  const dot = { replica: replica.number, sequence };
  entry.after = afterSeenEarly(entry.after, dot, seen, store.needs.pinset.names.replicas);
}

export function putLog(tx: Transaction, { replica, batch }: Prepared): void {
  tx.put(logTable, logKey(replica.number, batch.head.last), encodeSignedBatch(batch));
}

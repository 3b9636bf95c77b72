import { equalBytes } from '../../model/bytes.ts';
import { invalidField, isPinfoldError, PinfoldError } from '../../model/errors.ts';
import { parsePeerId } from '../../model/peer-id.ts';
import type { PinKey } from '../../model/pin.ts';
import type { PinRow } from '../../pinset/pinset.ts';
import { rowEtag, shownDot } from '../../pinset/row-hash.ts';
import type { Timer, Timers } from '../../runtime/clock.ts';
import type { Transaction } from '../../storage/storage.ts';
import type { Op, Outcome, Request } from '../consensus.ts';
import type { BatchParts } from './codec/signed-batch.ts';
import {
  FURTHER_BATCH_REQUESTS_MIN,
  GATHER_CALLS_MIN,
  GATHER_MS,
  OPS_PER_REQUEST_MAX,
  OWN_BATCH_REQUESTS_MAX,
  OWN_BATCHES_IN_FLIGHT_MAX,
  REQUESTS_PER_CALL_MAX,
  REQUESTS_QUEUED_MAX,
} from './constants.ts';
import { BatchBuilder, full } from './core/batch-builder.ts';
import { type RowEntry, TransactionRows } from './core/rows.ts';
import { DecidedStreams } from './decided-streams.ts';
import { LearnedNames } from './learned-names.ts';
import type { CrdtMetrics } from './metrics.ts';
import { type SealedBatch, sealBatch } from './sealed-batch.ts';
import { putRemembered, type Remembered, readRemembered } from './state/idempotency.ts';
import type { CrdtStore } from './state/store.ts';
import { unlessDamaged, writableRow } from './writable-row.ts';
import { Written } from './written.ts';

export interface CommitterNeeds {
  store: CrdtStore;
  signer: { sign(bytes: Uint8Array): Uint8Array };
  metrics: CrdtMetrics;
  timers: Timers;
  /** Whether this peer knows that it lacks something of what others hold. */
  isBehind(): boolean;
  /** T4: members that are not known to get what that peer has written. */
  unseenBy(author: string): readonly string[];
  /** Writes wait: an own fork is healed, or the others' clocks are to be seen first (N3, N4). */
  isHeld(): boolean;
  /** Called after the flush (C3), with the batch as kept. */
  publish(batch: BatchParts, encoded: Uint8Array, wantAck: boolean): void;
}

/** One call of `commit`: its requests are decided in order, maybe over several batches. */
interface Call {
  readonly requests: readonly Request[];
  readonly outcomes: Outcome[];
  next: number;
  readonly resolve: (outcomes: Outcome[]) => void;
  readonly reject: (reason: unknown) => void;
  isOver: boolean;
}

/** One transaction as `#decide` left it. */
interface Decided {
  readonly finished: Call[];
  readonly requests: number;
  readonly operations: number;
  readonly lastStamp: number;
  /** Somebody waits for others to have it (R7). */
  readonly wantAck: boolean;
  /** Undefined: nothing was done. */
  readonly sealed: SealedBatch | undefined;
}

/** Group commit (C1 to C3): whatever has come when the last flush ends becomes one transaction and one batch. */
export class Committer {
  readonly #needs: CommitterNeeds;
  #queue: Call[] = [];
  #requestsQueued = 0;
  #inFlight = 0;
  #isScheduled = false;
  /** Calls that were answered with the batch that was flushed last. */
  #lastCalls = 0;
  #gathering: Timer | undefined;
  #idle: PromiseWithResolvers<void> | undefined;
  readonly #names: LearnedNames;
  // Of the transaction that is running; filled again for each request.
  #tx: Transaction | undefined;
  readonly #readRow = (key: Uint8Array) => writableRow(this.#needs.store, this.#tx as Transaction, key);
  readonly #entries: RowEntry[] = [];
  #streams: DecidedStreams;

  constructor(needs: CommitterNeeds) {
    this.#needs = needs;
    this.#streams = new DecidedStreams(needs.store);
    this.#names = new LearnedNames(needs.store);
    needs.store.turns.onLive(() => this.#schedule());
  }

  /** Something is on its way to the disk. */
  get isBusy(): boolean {
    return this.#inFlight > 0;
  }

  /** Writes need not wait any more. */
  resume(): void {
    this.#schedule();
  }

  /** Whoever waits, and has nothing decided on its way, is told why not. */
  refuse(reason: PinfoldError): void {
    for (const call of this.#queue) {
      call.isOver = true;
      call.reject(reason);
    }
    this.#queue = [];
    this.#requestsQueued = 0;
    this.#checkIdle();
  }

  commit(requests: readonly Request[], signal: AbortSignal): Promise<Outcome[]> {
    if (requests.length === 0) return Promise.resolve([]);
    const refusal = this.#overLimit(requests);
    if (refusal !== undefined) return Promise.resolve(requests.map(() => ({ ok: false, error: refusal })));
    const { promise, resolve, reject } = Promise.withResolvers<Outcome[]>();
    if (signal.aborted) {
      reject(signal.reason);
      return promise;
    }
    const call: Call = { requests, outcomes: new Array(requests.length), next: 0, resolve, reject, isOver: false };
    const onAbort = () => this.#abort(call, signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    this.#queue.push(call);
    this.#requestsQueued += requests.length;
    this.#schedule();
    return promise.finally(() => signal.removeEventListener('abort', onAbort));
  }

  /** Resolves when all that was taken in is decided and flushed. */
  idle(): Promise<void> {
    if (this.#queue.length === 0 && this.#inFlight === 0) return Promise.resolve();
    this.#idle ??= Promise.withResolvers<void>();
    return this.#idle.promise;
  }

  #overLimit(requests: readonly Request[]): PinfoldError | undefined {
    if (requests.length > REQUESTS_PER_CALL_MAX) {
      return invalidField('requests', `${requests.length} in one call; at most ${REQUESTS_PER_CALL_MAX}`);
    }
    if (this.#requestsQueued + requests.length > REQUESTS_QUEUED_MAX) {
      return new PinfoldError('LIMIT_REACHED', `${REQUESTS_QUEUED_MAX} writes are waiting already`, {
        retryAfterMs: 1_000,
      });
    }
    return undefined;
  }

  /** Stops the waiting: what was decided stands, the rest is not begun. */
  #abort(call: Call, reason: unknown): void {
    if (call.isOver) return;
    call.isOver = true;
    const at = this.#queue.indexOf(call);
    if (at >= 0) {
      this.#queue.splice(at, 1);
      this.#requestsQueued -= call.requests.length - call.next;
    }
    call.reject(reason);
    this.#checkIdle();
  }

  /** In the next microtask, so that calls made together share a batch. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    while (this.#queue.length > 0 && this.#inFlight < OWN_BATCHES_IN_FLIGHT_MAX) {
      if (!this.#needs.store.turns.isLive || this.#needs.isHeld()) return;
      if (this.#inFlight > 0 && this.#requestsQueued < FURTHER_BATCH_REQUESTS_MIN) return;
      if (this.#isGathering()) return;
      this.#commitOne();
    }
    this.#checkIdle();
  }

  /**
   * Callers that were just answered come back within a millisecond, one after the other: whoever begins a flush for the first of them
   * lets all others wait for two. So a batch waits a moment for as many as there were in the last.
   */
  #isGathering(): boolean {
    if (this.#inFlight > 0 || this.#lastCalls < GATHER_CALLS_MIN) return false;
    if (this.#queue.length >= this.#lastCalls) {
      this.#gathering?.cancel();
      this.#gathering = undefined;
      return false;
    }
    this.#gathering ??= this.#needs.timers.after(GATHER_MS, () => {
      this.#gathering = undefined;
      this.#lastCalls = 0;
      this.#pump();
    });
    return true;
  }

  #checkIdle(): void {
    if (this.#idle === undefined || this.#queue.length > 0 || this.#inFlight > 0) return;
    this.#idle.resolve();
    this.#idle = undefined;
  }

  #commitOne(): void {
    const { store, metrics } = this.#needs;
    const { storage } = store.needs;
    const touched: Call[] = [];
    let decided: Decided;
    let flushed: Promise<void>;
    try {
      this.#learnNames();
      const commit = storage.transaction((tx) => this.#decide(tx, touched));
      decided = commit.value;
      this.#installed(decided);
      flushed = store.queued(commit, decided.sealed === undefined ? [] : [decided.sealed.step], decided.operations > 0);
    } catch (failure) {
      this.#fail(touched.length > 0 ? touched : this.#queue.slice(0, 1), failure);
      return;
    }
    metrics.batchOperations.observe(decided.operations);
    this.#inFlight++;
    void this.#afterFlush(decided, flushed);
  }

  #installed({ lastStamp, sealed, requests, wantAck }: Decided): void {
    const { store } = this.#needs;
    this.#requestsQueued -= requests;
    if (sealed === undefined) return;
    store.self.lastStamp = lastStamp;
    if (wantAck) store.own.wantedSequence = sealed.step.sequence;
    for (const replica of store.replicas.sorted()) store.incBase.set(replica, replica.sequence);
  }

  async #afterFlush(decided: Decided, flushed: Promise<void>): Promise<void> {
    const { publish, metrics } = this.#needs;
    try {
      await flushed;
      this.#lastCalls = decided.finished.length;
      if (decided.sealed !== undefined) publish(decided.sealed.batch, decided.sealed.encoded, decided.wantAck); // G1
      metrics.operations.add(decided.operations);
      for (const call of decided.finished) {
        call.isOver = true;
        call.resolve(call.outcomes);
      }
    } catch (failure) {
      this.#fail(decided.finished, failure);
    }
    this.#inFlight--;
    this.#pump();
  }

  /** A transaction that failed decided nothing: whoever had a request in it is told. */
  #fail(calls: readonly Call[], failure: unknown): void {
    const isStorage = isPinfoldError(failure, 'STORAGE_FAILED');
    const gone = isStorage ? [...calls, ...this.#queue] : calls;
    this.#queue = this.#queue.filter((call) => !gone.includes(call));
    this.#requestsQueued = this.#queue.reduce((sum, call) => sum + call.requests.length - call.next, 0);
    if (!isStorage) this.#needs.store.needs.logger.error('a batch could not be built', { error: String(failure) });
    const reason = isStorage ? failure : new PinfoldError('INTERNAL', 'the write failed', { cause: failure });
    for (const call of gone) {
      call.isOver = true;
      call.reject(reason);
    }
    if (!isStorage && this.#queue.length > 0) this.#schedule();
    this.#checkIdle();
  }

  /** Gives peers and namespaces that come for the first time their numbers, which cannot be done inside a transaction. */
  #learnNames(): void {
    let requests = 0;
    for (const call of this.#queue) {
      for (let i = call.next; i < call.requests.length; i++) {
        if (++requests > OWN_BATCH_REQUESTS_MAX) return;
        for (const op of (call.requests[i] as Request).ops) this.#names.learn(op);
      }
    }
  }

  /** C1 and C2, inside the transaction. */
  #decide(tx: Transaction, touched: Call[]): Decided {
    const builder = this.#builder();
    const rows = new TransactionRows();
    this.#tx = tx;
    const finished: Call[] = [];
    this.#streams = new DecidedStreams(this.#needs.store);
    let requests = 0;
    let wantAck = false;
    next: while (this.#queue.length > 0) {
      const call = this.#queue[0] as Call;
      touched.push(call);
      while (call.next < call.requests.length) {
        const request = call.requests[call.next] as Request;
        const outcome = requests < OWN_BATCH_REQUESTS_MAX ? this.#one(tx, builder, rows, request) : full;
        if (outcome === full) break next;
        wantAck ||= request.ack?.kind === 'replicated' && request.ack.count > 1;
        call.outcomes[call.next++] = outcome;
        requests++;
      }
      finished.push(call);
      this.#queue.shift();
    }
    this.#streams.put(tx);
    const { operations, lastStamp } = builder;
    const sealed = operations > 0 ? sealBatch(tx, this.#needs.store, this.#needs.signer, builder, rows) : undefined;
    return { finished, requests, operations, lastStamp, wantAck, sealed };
  }

  #builder(): BatchBuilder {
    const { store, isBehind } = this.#needs;
    const { names } = store.needs.pinset;
    return new BatchBuilder({
      replica: store.own.number,
      first: store.own.sequence + 1,
      lastStamp: store.self.lastStamp,
      nowMs: store.needs.clock.nowMs(),
      isBehind: isBehind(),
      tables: { rid: (replica) => names.replicas.name(replica), peer: (peer) => parsePeerId(names.peers.name(peer)) },
      peerNumber: (peerId) => this.#names.peer(peerId),
      shownDot: (row) => shownDot(names, row),
      etag: (key, row) => rowEtag(names, key, row),
    });
  }

  #one(tx: Transaction, builder: BatchBuilder, rows: TransactionRows, request: Request): Outcome | typeof full {
    const { stream } = request;
    if (stream !== undefined) {
      const place = this.#streams.check(tx, stream);
      if (place instanceof PinfoldError) return refused(place);
      if (place !== 'next') return this.#written(place.replica, place.sequence, new Uint8Array(0), undefined);
    }
    const { idempotency } = request;
    const known = idempotency && this.#needs.store.live(readRemembered(tx, idempotency.key));
    const outcome = unlessDamaged(() =>
      known === undefined ? this.#new(tx, builder, rows, request) : this.#known(rows, request, known),
    );
    if (outcome !== full && stream !== undefined) this.#streams.advance(tx, stream, builder.last);
    return outcome;
  }

  #new(tx: Transaction, builder: BatchBuilder, rows: TransactionRows, request: Request): Outcome | typeof full {
    const malformed = checkShape(request);
    if (malformed !== undefined) return refused(malformed);
    const { store } = this.#needs;
    const entries = this.#entries;
    entries.length = 0;
    for (const { key } of request.ops) {
      if (!store.knowsNamespace(key)) {
        return refused(new PinfoldError('LIMIT_REACHED', 'this peer has no number left for a further namespace'));
      }
      entries.push(rows.entry(key, this.#readRow));
    }
    const done = builder.add(request, entries);
    if (done === full) return full;
    if (done instanceof PinfoldError) return refused(done);
    if (request.idempotency !== undefined && done.row !== undefined) {
      this.#remember(tx, request.idempotency, done.sequence);
    }
    return this.#written(store.own.number, done.sequence, done.key, done.row);
  }

  #remember(tx: Transaction, { key, request }: NonNullable<Request['idempotency']>, sequence: number): void {
    const { own, needs } = this.#needs.store;
    const timeMs = needs.clock.nowMs();
    putRemembered(tx, key, { kind: 'call', replica: own.number, sequence, decided: 0, timeMs, request }, true);
  }

  /** 6.3: the result of the first. Its pin is shown as it is now if it is still live. */
  #known(rows: TransactionRows, request: Request, known: Remembered): Outcome {
    const given = (request.idempotency as { request: Uint8Array }).request;
    if (known.request.length > 0 && given.length > 0 && !equalBytes(known.request, given)) {
      return refused(new PinfoldError('IDEMPOTENCY_MISMATCH', 'the idempotency key was used for a different request'));
    }
    const { key } = request.ops[0] as Op;
    const row = rows.entry(key, this.#readRow).after;
    const isLive = row.some((dot) => dot.replica === known.replica && dot.sequence <= known.sequence);
    return this.#written(known.replica, known.sequence, key, isLive ? row : undefined);
  }

  #written(replica: number, sequence: number, key: PinKey, row: PinRow | undefined): Outcome {
    const { store, unseenBy } = this.#needs;
    const author = store.replicas.byNumber(replica)?.peerId ?? store.needs.peerId;
    return new Written(store.needs.pinset.names, replica, sequence, key, row, unseenBy(author));
  }
}

function refused(error: PinfoldError): Outcome {
  return { ok: false, error };
}

function checkShape({ ops }: Request): PinfoldError | undefined {
  if (ops.length >= 1 && ops.length <= OPS_PER_REQUEST_MAX) return undefined;
  return invalidField('ops', `${ops.length} operations; 1 to ${OPS_PER_REQUEST_MAX} are allowed`);
}

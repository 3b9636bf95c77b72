import type { Connector } from '../ipfs/connector.ts';
import { toV1 } from '../model/cid.ts';
import { invalidField } from '../model/errors.ts';
import type { WishStatus } from '../model/status.ts';
import type { Pinset } from '../pinset/pinset.ts';
import type { Clock, Timers } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import type { MetricsRegister } from '../runtime/metrics.ts';
import type { Random } from '../runtime/random.ts';
import type { Storage } from '../storage/storage.ts';
import { queuedRow } from './attempt.ts';
import { Audit } from './audit.ts';
import { Concurrency } from './concurrency.ts';
import { FRONT_WISHES_MAX, SLICE_KEYS_MAX, STATUSES_MAX } from './constants.ts';
import { Intake } from './intake.ts';
import type { Entry } from './lanes.ts';
import { trackerMetrics } from './metrics.ts';
import { NodeWatch } from './node-watch.ts';
import type { TrackerOptions } from './options.ts';
import { SaidOtherwise } from './said-otherwise.ts';
import { StatusIndex } from './status-index.ts';
import { type StatusRow, wishStatus } from './status-row.ts';
import type { IndexedStatus, StatusCounts, StatusFeed, Tracker, WorkPlace } from './tracker.ts';
import { saidOf, type Wanted, wanted, wantedIn } from './wish.ts';
import { Work } from './work.ts';
import { stageOf } from './work-stage.ts';

export interface TrackerNeeds {
  /** Opened with `trackerTables`. */
  storage: Storage;
  pinset: Pick<Pinset, 'feed' | 'claims' | 'keys' | 'count'>;
  connector: Pick<Connector, 'id' | 'pin' | 'unpin' | 'pinned' | 'list'>;
  peerId: string;
  /** Multiaddrs of the IPFS nodes of those peers (none given: of all), this one left out. Asked for at each attempt. */
  sources: (allocations: readonly string[]) => readonly string[];
  /** Which history the store goes on with: revisions of the status feed mean nothing in another. */
  history: () => Uint8Array;
  clock: Clock;
  timers: Timers;
  random: Random;
  logger: Logger;
  metrics: MetricsRegister;
  /** Wishes taken from the feed and in memory, at most: WINDOW_WISHES_MAX. */
  windowWishesMax?: number;
}

/** Of what nobody knows whether it is claimed. */
const unknownWish: Wanted = { kind: 'none' };

/** The tracker of this peer. The store, the pinset and the connector must be open before it starts. */
export function tracker(options: TrackerOptions, needs: TrackerNeeds): Tracker {
  return new WishTracker(options, needs);
}

class WishTracker implements Tracker {
  readonly #options: TrackerOptions;
  readonly #needs: TrackerNeeds;
  readonly #index: StatusIndex;
  readonly #node: NodeWatch;
  readonly #work: Work;
  readonly #intake: Intake;
  readonly #audit: Audit;
  readonly #saidOtherwise = new SaidOtherwise();
  readonly #stopping = new AbortController();
  #running: Promise<unknown> = Promise.resolve();
  #isOpen = false;

  constructor(options: TrackerOptions, needs: TrackerNeeds) {
    const { signal } = this.#stopping;
    const { clock, timers, random, logger, connector } = needs;
    this.#options = options;
    this.#needs = needs;
    const fail = (error: unknown) => this.#fail(error);
    this.#index = new StatusIndex(options, needs, {
      isBusy: () => this.#work.underWay > 0,
      onGroup: () => this.#work.showAttempts(),
      onFlushed: () => this.#onFlushed(),
      onFailure: fail,
    });
    const concurrency = new Concurrency(options.concurrentPinsMax);
    const metrics = trackerMetrics(needs.metrics, {
      count: (status) => this.#index.count(status),
      queued: () => this.counts().queued,
      underWay: () => this.#work.underWay,
      concurrency: () => concurrency.limit,
    });
    this.#node = new NodeWatch(needs, { signal, onUp: () => this.#nodeReturned(), gauge: metrics.nodeUp });
    const index = this.#index;
    this.#work = new Work(
      options,
      { ...needs, index, node: this.#node, concurrency, metrics, said: this.#saidOtherwise },
      fail,
    );
    const work = this.#work;
    this.#intake = new Intake({ ...needs, index, work }, signal);
    const isBusy = (cid: Uint8Array) => work.entry(cid) !== undefined;
    this.#audit = new Audit(options, { connector, index, isBusy, metrics, clock, timers, random, logger }, signal);
  }

  get feed(): StatusFeed {
    return this.#index.feed;
  }

  async start(): Promise<void> {
    this.#index.open();
    this.#isOpen = true;
    this.#requeueInterrupted();
    this.#intake.open();
    this.#work.start();
    const parts = [this.#intake.run(), this.#audit.run()];
    this.#running = Promise.all(parts).catch((error) => this.#fail(error));
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the tracker stops'));
    await this.#work.stop();
    await this.#running;
    await this.#node.stopped();
    if (this.#isOpen) await this.#index.stop().catch(() => {});
  }

  auditSoon(): void {
    this.#audit.soon();
  }

  statuses(cids: readonly Uint8Array[]): WishStatus[] {
    if (cids.length > STATUSES_MAX) throw invalidField('cids', `at most ${STATUSES_MAX} in one call`);
    return cids.map((given) => {
      const cid = toV1(given);
      return this.#status(cid, this.#index.flushed(cid));
    });
  }

  listIndexed(statuses: readonly IndexedStatus[], afterCid: Uint8Array | undefined, limit: number): WishStatus[] {
    const { isLevel } = this.#intake;
    return this.#index.listIndexed(statuses, afterCid, limit).map(({ cid, row }) => {
      // Its claims, which cost most of such a listing, could say nothing else than the row then.
      const isSettled = isLevel && this.#work.entry(cid) === undefined && !this.#index.isChanging(cid);
      return isSettled && row !== undefined ? wishStatus(cid, row) : this.#status(cid, row);
    });
  }

  listAll(afterCid: Uint8Array | undefined, limit: number): WishStatus[] {
    return this.#index.listAll(afterCid, limit).map(({ cid, row }) => this.#told(cid, row));
  }

  counts(): StatusCounts {
    const index = this.#index;
    const queuedRows = index.count('pin_queued') + index.count('unexpectedly_unpinned');
    return {
      pinned: index.count('pinned'),
      pinning: index.count('pinning'),
      queued: queuedRows + this.#work.fresh() + this.#intake.backlog(),
      failed: index.count('pin_error') + index.count('unpin_error'),
    };
  }

  placeOf(given: Uint8Array): WorkPlace {
    const cid = toV1(given);
    const entry = this.#work.entry(cid);
    const row = this.#index.newest(cid);
    const want = this.#want(cid);
    const at = { nowMs: this.#needs.clock.nowMs(), unpinDelayMs: this.#options.unpinDelayMs };
    const stage = stageOf(entry, row, want, at);
    const action = (entry?.want ?? want).kind === 'pin' ? 'pin' : 'unpin';
    return {
      stage,
      lane: stage === 'queued' || stage === 'running' ? (entry?.job ?? entry)?.lane : undefined,
      ahead: this.#ahead(stage, entry),
      underWay: this.#work.lanes.underWay(action),
      underWayMax: this.#work.limit(action),
      isNodeDown: this.#node.isDown,
    };
  }

  #ahead(stage: WorkPlace['stage'], entry: Readonly<Entry> | undefined): number {
    if (stage === 'unread') return this.#intake.backlog();
    return stage === 'queued' && entry !== undefined ? this.#work.lanes.ahead(entry) : 0;
  }

  async *recover(
    cids: readonly Uint8Array[] | undefined,
    { signal }: { signal: AbortSignal },
  ): AsyncGenerator<WishStatus[]> {
    let done = 0;
    let last: Uint8Array | undefined;
    for (;;) {
      signal.throwIfAborted();
      const piece =
        cids === undefined
          ? this.listIndexed(['pin_error', 'unpin_error', 'unexpectedly_unpinned'], last, SLICE_KEYS_MAX).map(
              (s) => s.cid,
            )
          : cids.slice(done, done + SLICE_KEYS_MAX).map(toV1);
      if (piece.length === 0) return;
      last = piece.at(-1);
      const queued = piece.flatMap((cid) => this.#recover(cid, done++ < FRONT_WISHES_MAX));
      await this.#index.settled();
      this.#work.unhold(queued.flatMap(({ entry }) => entry ?? []));
      if (queued.length > 0) yield queued.map(({ status }) => status);
    }
  }

  /** Its row says from now on that it waits; the first ones go to the front at once, the others first of the retries. */
  #recover(cid: Uint8Array, isFront: boolean): { status: WishStatus; entry: Entry | undefined }[] {
    const row = this.#index.newest(cid);
    if (row === undefined || this.#work.entry(cid)?.job !== undefined) return [];
    if (!['pin_error', 'unpin_error', 'unexpectedly_unpinned'].includes(row.status)) return [];
    const status = row.status === 'unpin_error' ? 'unpin_queued' : 'pin_queued';
    const queued = queuedRow(status, this.#needs.clock.nowMs(), row);
    this.#index.put(cid, queued);
    const entry = isFront
      ? this.#work.consider(cid, { occasion: 'changed', lane: 'front', flow: row.flow })
      : undefined;
    return [{ status: wishStatus(cid, queued), entry: typeof entry === 'object' ? entry : undefined }];
  }

  /** `row` is the flushed one. */
  #status(cid: Uint8Array, row: StatusRow | undefined): WishStatus {
    const want = this.#wantIfKnown(cid) ?? unknownWish;
    if (want === unknownWish && row !== undefined) return wishStatus(cid, row);
    // A claim that came back: the node has let go of it, or is about to, and that is not on the disk yet.
    const isLeft =
      row?.status === 'pinned' &&
      (this.#work.entry(cid)?.job?.action === 'unpin' ||
        (this.#index.isChanging(cid) && this.#index.newest(cid)?.status !== 'pinned'));
    return this.#said(cid, want, want.kind === 'pin' && isLeft ? undefined : row);
  }

  /** A row may be told as it is but when it would say too much: a direct pin of what is to be recursive now. */
  #told(cid: Uint8Array, row: StatusRow): WishStatus {
    const want = row.status === 'pinned' && row.held === 'direct' ? this.#wantIfKnown(cid) : undefined;
    if (want !== undefined) return this.#said(cid, want, row);
    return wishStatus(cid, row);
  }

  #said(cid: Uint8Array, want: Wanted, row: StatusRow | undefined): WishStatus {
    const status = saidOf(want, row);
    if (row !== undefined && row.status === status) return wishStatus(cid, row);
    if (row !== undefined) this.#saidOtherwise.note(cid);
    const sinceMs = want.kind === 'pin' ? want.createdMs : (row?.sinceMs ?? 0);
    return { cid, status, sinceMs, attempts: 0, errorClass: undefined, error: '', retryAtMs: 0 };
  }

  /** Undefined: a row that it rests on is damaged. What was known of the others must still be told. */
  #wantIfKnown(cid: Uint8Array): Wanted | undefined {
    return wantedIn(this.#needs.pinset, cid, this.#needs.peerId);
  }

  #want(cid: Uint8Array): Wanted {
    return wanted(this.#needs.pinset.claims(cid), this.#needs.peerId);
  }

  /** Attempts that a crash ended: what their rows say is not so any more. */
  #requeueInterrupted(): void {
    const index = this.#index;
    let last: Uint8Array | undefined;
    for (;;) {
      const interrupted = index.listIndexed(['pinning', 'unpinning'], last, SLICE_KEYS_MAX);
      for (const { cid, row } of interrupted) {
        const queued = row?.status === 'pinning' ? 'pin_queued' : 'unpin_queued';
        index.put(cid, queuedRow(queued, this.#needs.clock.nowMs(), index.newest(cid)));
      }
      last = interrupted.at(-1)?.cid;
      if (last === undefined) return;
    }
  }

  #nodeReturned(): void {
    this.#audit.soon();
    this.#onFlushed();
  }

  #onFlushed(): void {
    this.#work.roomMade();
    this.#work.checkDue();
    this.#work.pump();
  }

  #fail(error: unknown): void {
    if (this.#stopping.signal.aborted) return;
    this.#needs.logger.error('the tracker stopped: its store failed, or there is a defect', { error });
    this.#stopping.abort(error);
    void this.#work.stop();
  }
}

import { PinfoldError } from '../../../model/errors.ts';
import { bucketCount } from '../../../model/pin-key.ts';
import type { Timers } from '../../../runtime/clock.ts';
import { sleep } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/logger.ts';
import { mark } from '../../../runtime/mark.ts';
import type { RebuildStatus } from '../../consensus.ts';
import { clockEntry, type HeardEntry } from '../codec/clock-entries.ts';
import { REBUILD_RETRY_MS, REBUILD_ROOM_FACTOR, REBUILD_ROOM_RETRY_MS } from '../constants.ts';
import type { Clock } from '../core/clocks.ts';
import { isNeedless, needsLogAbove } from '../core/rebuild.ts';
import type { CrdtMetrics } from '../metrics.ts';
import type { CrdtOptions } from '../options.ts';
import type { PeerCalls } from '../peer-calls.ts';
import type { CrdtStore } from '../state/store.ts';
import { sync } from '../sync/sync-client.ts';
import { ChangedKeys } from './changed-keys.ts';
import { forgetLogAbove } from './forget-log-above.ts';
import { Forked, Lost, OwnDamage, TheirDamage, Unusable, Useless } from './problems.ts';
import { RangeFill } from './range-fill.ts';
import { ShadowIntake } from './shadow-intake.ts';
import { ShadowState } from './shadow-state.ts';
import { swapIn } from './swap.ts';

export interface RebuilderNeeds {
  options: Pick<CrdtOptions, 'shadowStallTimeoutMs' | 'rebuildPatienceMs'>;
  store: CrdtStore;
  rpc: PeerCalls;
  timers: Timers;
  logger: Logger;
  metrics: CrdtMetrics;
  /** Whether there is room on the disk for what comes anyway. */
  isOpen(): boolean;
  freeDiskBytes(): number;
  /** Trusted peers that are reached and whose store is not empty, in random order. */
  sources(): string[];
  onClock(from: string, clock: readonly HeardEntry[]): void;
}

/**
 * Fills the other table set from the own rows and from others', catches up from logs, and swaps (B1 to B6). Goes on where a crash
 * left it. A join is this with an empty store.
 */
export class Rebuilder {
  readonly #needs: RebuilderNeeds;
  /** Why it does not get on, if it does not; for the operator. */
  problem = '';
  #state: ShadowState | undefined;
  #fill: RangeFill | undefined;
  #progressMs = 0;
  /** Since when no source's log reaches back to C'. */
  #unreachedSinceMs: number | undefined;
  #isUseless = false;
  #giveUp = new AbortController();
  /** Buckets of which the own rows were found damaged while they were merged. */
  readonly #damaged = new Set<number>();
  /** By source: buckets of which its rows were not what its digests said. */
  readonly #doubted = new Map<string, readonly number[]>();

  constructor(needs: RebuilderNeeds) {
    this.#needs = needs;
  }

  /** A shadow stands, maybe from before a crash. */
  get isBegun(): boolean {
    const { state } = this.#pinset.shadow;
    return state === 'filling' || state === 'ready';
  }

  /** The shadow that stands is that of an empty store. */
  get isJoin(): boolean {
    return this.isBegun && (this.#loaded()?.isJoin ?? this.#needs.store.replicas.isEmpty);
  }

  get status(): RebuildStatus | undefined {
    if (!this.isBegun) return undefined;
    const { state, nextBucket } = this.#pinset.shadow;
    const fillStep = nextBucket < bucketCount ? 'filling' : 'indexing';
    const step = state === 'ready' ? 'catching-up' : fillStep;
    return { step, done: nextBucket, of: bucketCount, problem: this.problem };
  }

  /** C' as it is on the disk, for the Hello of a peer that rebuilds. */
  get flushedClock(): { rid: Uint8Array; sequence: number; hash: Uint8Array }[] {
    const entries = this.isBegun ? (this.#state?.clock.entries() ?? []) : [];
    return entries
      .filter(({ flushedSequence }) => flushedSequence > 0)
      .map(({ replica, flushedSequence, sequence, hash }) => ({
        rid: replica.rid,
        sequence: flushedSequence,
        hash: flushedSequence === sequence ? hash : new Uint8Array(0),
      }));
  }

  /** L3: what the own log must not be cut above while the shadow stands. Undefined: nothing stands in the way. */
  get needsLogAbove(): Clock | undefined {
    if (!this.isBegun) return undefined;
    return needsLogAbove(this.#state?.clock.clocks?.taken, this.#fill?.cm);
  }

  /** Resolves with `swapped`, or `discarded` (B6). Rejects with the signal's reason or STORAGE_FAILED. */
  async run(signal: AbortSignal): Promise<'swapped' | 'discarded'> {
    this.#giveUp = new AbortController();
    if (!(await this.#hasRoom(signal))) return 'discarded';
    await this.#begin(signal);
    try {
      while (!this.#isOver()) {
        signal.throwIfAborted();
        if (await this.#round(AbortSignal.any([signal, this.#giveUp.signal]))) return 'swapped';
      }
    } catch (problem) {
      if (!(problem instanceof Lost)) throw problem;
      this.#needs.logger.warn('the shadow is of no use any more', { problem: problem.message });
    }
    this.#discard();
    return 'discarded';
  }

  /** B6: for whoever needs the shadow gone, and says why. Its tables are dead when this returns; `run` ends a moment later. */
  giveUp(reason: string): void {
    this.#giveUp.abort(new Lost(reason));
    this.#discard();
  }

  get #pinset() {
    return this.#needs.store.needs.pinset;
  }

  #loaded(): ShadowState | undefined {
    const { store } = this.#needs;
    this.#state ??= ShadowState.load(store.needs.storage.read, store.replicas);
    return this.#state;
  }

  async #begin(signal: AbortSignal): Promise<void> {
    const { logger } = this.#needs;
    const { shadow } = this.#pinset;
    // Rows without the clock that they stand under say nothing.
    if (this.isBegun && !this.#isWhole) this.#discard();
    if (this.isBegun) mark('crdt rebuild: resumed');
    const state = this.isBegun ? (this.#loaded() as ShadowState) : await this.#beginNew(signal);
    this.#state = state;
    this.#unreachedSinceMs = undefined;
    this.#isUseless = false;
    this.#progressed();
    logger.info('rebuilding: a new table set is filled', { fromBucket: shadow.nextBucket, isJoin: state.isJoin });
  }

  get #isWhole(): boolean {
    const state = this.#loaded();
    return state !== undefined && (state.clock.isBegun || this.#pinset.shadow.nextBucket === 0);
  }

  async #beginNew(signal: AbortSignal): Promise<ShadowState> {
    const { store, timers } = this.#needs;
    const { storage } = store.needs;
    while (this.#pinset.shadow.state === 'emptying') await sleep(timers, REBUILD_RETRY_MS, signal);
    await ChangedKeys.clear(storage);
    this.#damaged.clear();
    this.#doubted.clear();
    const state = new ShadowState(store.replicas.isEmpty);
    storage.transaction((tx) => state.put(tx));
    this.#pinset.shadow.begin();
    this.#state = state;
    return state;
  }

  /** False, after a while: it is not begun. */
  async #hasRoom(signal: AbortSignal): Promise<boolean> {
    try {
      if (!this.isBegun) this.#checkRoom(0);
      return true;
    } catch (problem) {
      this.problem = String(problem);
      this.#needs.logger.warn('no rebuild is begun', { problem: this.problem });
      await sleep(this.#needs.timers, REBUILD_ROOM_RETRY_MS, signal);
      return false;
    }
  }

  /** Disk guard of B6: a set is written beside the live one. */
  #checkRoom(theirBytes: number): void {
    const bytes = Math.ceil(REBUILD_ROOM_FACTOR * Math.max(theirBytes, this.#pinset.liveBytes()));
    const free = this.#needs.freeDiskBytes();
    if (free >= bytes) return;
    const problem = `a rebuild needs ${bytes} bytes of free disk; there are ${free}`;
    throw new PinfoldError('DISK_FULL', problem);
  }

  /** One range, or what comes after the last, from the first source that will do; true: swapped. */
  async #round(signal: AbortSignal): Promise<boolean> {
    const { store, timers, isOpen } = this.#needs;
    const sources = isOpen() ? this.#needs.sources() : [];
    let useless = 0;
    let forked = 0;
    for (const source of [...sources, undefined]) {
      try {
        return await this.#step(source, signal);
      } catch (problem) {
        if (signal.aborted) throw signal.reason;
        if (store.failure !== undefined || problem instanceof Lost) throw problem;
        if (problem instanceof Useless) useless++;
        if (problem instanceof Forked) forked++;
        // What a source said is more than that there is no further one.
        if (source !== undefined || sources.length === 0) this.#explain(problem, source);
      }
    }
    if (forked > 0 && forked === sources.length) {
      await forgetLogAbove(store); // It must not be taken for the log of the other history.
      throw new Lost('every peer that is reached has another history of an author than the shadow');
    }
    this.#isUseless = useless > 0 && useless === sources.length;
    if (!this.#isUseless) await sleep(timers, REBUILD_RETRY_MS, signal);
    return false;
  }

  async #step(source: string | undefined, signal: AbortSignal): Promise<boolean> {
    if (this.#pinset.shadow.nextBucket < bucketCount) {
      if (source === undefined) throw new Unusable('no peer that has the pinset is reached');
      await this.#range(source, signal);
      await this.#catchUp(source, signal);
      return false;
    }
    await this.#buildIndexes(signal);
    await this.#catchUp(source, signal);
    return this.#swap(signal);
  }

  async #buildIndexes(signal: AbortSignal): Promise<void> {
    while (!(await this.#pinset.shadow.buildIndexes())) {
      this.#progressed();
      await sleep(this.#needs.timers, 0, signal); // Others get their turn.
    }
  }

  async #range(source: string, signal: AbortSignal): Promise<void> {
    const needs = {
      ...this.#needs,
      checkRoom: (bytes: number) => this.#checkRoom(bytes),
      onProgress: () => this.#progressed(),
      damaged: this.#damaged,
      doubted: this.#doubted.get(source) ?? [],
    };
    this.#fill = new RangeFill(needs, this.#shadow, source);
    try {
      await this.#fill.run(signal);
    } catch (problem) {
      if (problem instanceof OwnDamage) await this.#foundDamaged(problem);
      if (problem instanceof TheirDamage) this.#doubt(source, problem);
      throw problem;
    } finally {
      this.#fill = undefined;
    }
  }

  /** The source is told when it is asked again, and finds out. */
  #doubt(source: string, { bucket, message }: TheirDamage): never {
    mark('crdt rebuild: rows of a source are doubted');
    this.#doubted.set(source, [bucket]);
    throw new Unusable(message);
  }

  /** What can be read of such a bucket proves nothing: it is taken from a source as it is there. */
  async #foundDamaged({ bucket, message }: OwnDamage): Promise<never> {
    mark('crdt rebuild: own rows are damaged');
    this.#damaged.add(bucket);
    await this.#pinset.scrub.check([bucket]);
    throw new Unusable(message);
  }

  get #shadow(): ShadowState {
    return this.#state as ShadowState;
  }

  /** B3: from the own log first, then from the source. Without one, what is there must do. */
  async #catchUp(source: string | undefined, signal: AbortSignal): Promise<void> {
    const intake = new ShadowIntake(this.#needs.store, this.#shadow, () => this.#buildIndexes(signal));
    await intake.ownLog();
    if (source === undefined) {
      if (this.#shadow.clock.coversGoal) return;
      throw new Unusable('no peer is reached that has what the shadow lacks');
    }
    const clock = this.#shadow.clock
      .entries()
      .map(({ replica, sequence, hash }) => clockEntry(replica.rid, sequence, hash));
    await this.#needs.store.needs.storage.flushed(); // F1
    const end = await sync(this.#needs.rpc, {
      ...{ peerId: source, clock, follow: false, shadow: true, signal, known: this.#shadow.clock },
      take: async (batch) => {
        await intake.take(batch);
        this.#progressed();
      },
    });
    if (end === 'full-needed') {
      mark('crdt rebuild: source cut above the shadow');
      this.#unreachedSinceMs ??= this.#nowMs;
      throw new Unusable('the source has cut its log above the shadow');
    }
    await intake.flushGroup();
    this.#unreachedSinceMs = undefined;
  }

  async #swap(signal: AbortSignal): Promise<boolean> {
    const { store, logger, metrics } = this.#needs;
    if (!(await swapIn(store, this.#shadow, signal))) throw new Unusable('the shadow lacks what its rows may contain');
    this.#state = undefined;
    await this.#mended();
    mark('crdt rebuild: swapped');
    metrics.rebuilds.add(1, { result: 'swapped' });
    logger.info('rebuilt: the new table set is live', { pins: this.#pinset.count() });
    void ChangedKeys.clear(store.needs.storage).catch((error) => {
      logger.debug('the list of changed keys is emptied before the next rebuild', { error: String(error) });
    });
    return true;
  }

  /** The damage was in the set that is dead now. */
  async #mended(): Promise<void> {
    const buckets = [...this.#damaged];
    this.#damaged.clear();
    this.#doubted.clear();
    await this.#pinset.scrub.check(buckets);
  }

  #explain(problem: unknown, source: string | undefined): void {
    const isExpected = problem instanceof PinfoldError || problem instanceof Unusable;
    const { logger } = this.#needs;
    this.problem = problem instanceof Error ? problem.message : String(problem);
    if (isExpected) logger.debug('the rebuild waits', { source, problem: String(problem) });
    else logger.warn('the rebuild was interrupted; it goes on', { source, problem: String(problem) });
  }

  get #nowMs(): number {
    return this.#needs.store.needs.clock.monotonicMs();
  }

  #progressed(): void {
    this.#progressMs = this.#nowMs;
    this.problem = '';
  }

  /** B6. */
  #isOver(): boolean {
    const { options, store } = this.#needs;
    if (this.#isUseless || !this.isBegun) return true;
    if (this.#nowMs - this.#progressMs > options.shadowStallTimeoutMs) return true;
    const since = this.#unreachedSinceMs;
    if (since !== undefined && this.#nowMs - since > options.rebuildPatienceMs) return true;
    const { clocks } = this.#shadow.clock;
    return clocks !== undefined && isNeedless(clocks, store.replicas.clock);
  }

  /** The row first: it must never be taken for that of a later shadow. */
  #discard(): void {
    if (!this.isBegun) return;
    const { store, logger, metrics } = this.#needs;
    mark('crdt rebuild: discarded');
    logger.info('the shadow is discarded');
    metrics.rebuilds.add(1, { result: 'discarded' });
    store.needs.storage.transaction((tx) => ShadowState.remove(tx));
    this.#pinset.shadow.discard();
  }
}

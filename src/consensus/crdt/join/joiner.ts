import { create } from '@bufbuild/protobuf';
import { MergeRangeRequestSchema } from '../../../../gen/pinfold/peer/v1/service_pb.ts';
import { PinfoldError } from '../../../model/errors.ts';
import { formatPeerId } from '../../../model/peer-id.ts';
import { bucketCount, bucketOf } from '../../../model/pin-key.ts';
import { Malformed } from '../../../pinset/codec/reader.ts';
import type { Timers } from '../../../runtime/clock.ts';
import { sleep } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/logger.ts';
import { clockEntry } from '../codec/clock-entries.ts';
import { clockOf, type FullClockEntry, readRangeHead } from '../codec/range-head.ts';
import { type RangeRow, readRangeRows } from '../codec/range-rows.ts';
import { openBatch } from '../codec/signed-batch.ts';
import {
  GROUP_BYTES_MAX,
  GROUP_OPS_MAX,
  JOIN_RETRY_MS,
  MERGED_OWN_ROWS_MAX,
  RANGE_BUCKETS_MAX,
  SHADOW_ROWS_PER_TRANSACTION,
} from '../constants.ts';
import { covers } from '../core/clocks.ts';
import { InvalidBatch } from '../core/invalid-batch.ts';
import { judge } from '../core/judge.ts';
import { answered, isNeedless, maySwap, swapped } from '../core/rebuild.ts';
import { TransactionRows } from '../core/rows.ts';
import type { Batch } from '../core/types.ts';
import { AuthorErred, applyTo, type Prepared, prepare, putLog } from '../intake.ts';
import type { CrdtMetrics } from '../metrics.ts';
import type { CrdtOptions } from '../options.ts';
import type { PeerCalls } from '../peer-calls.ts';
import type { ClockStep } from '../state/replicas.ts';
import { StagedClock } from '../state/staged-clock.ts';
import type { CrdtStore } from '../state/store.ts';
import { LogReader } from '../sync/log-reader.ts';
import { sync } from '../sync/sync-client.ts';
import { MergedRows } from './merged-rows.ts';
import { ShadowClock } from './shadow-clock.ts';

export interface JoinerNeeds {
  options: Pick<CrdtOptions, 'shadowStallTimeoutMs'>;
  store: CrdtStore;
  rpc: PeerCalls;
  timers: Timers;
  logger: Logger;
  metrics: CrdtMetrics;
  /** Whether there is room on the disk. */
  isOpen(): boolean;
  /** Trusted peers that are reached and whose store is not empty; a random one first. */
  sources(): string[];
}

/** The source cannot be used now: ask again, or another. */
class Unusable extends Error {
  override readonly name = 'Unusable';
}

/** An empty store takes in the pinset of the others through a shadow (B1 to B6). Goes on where a crash left it. */
export class Joiner {
  readonly #needs: JoinerNeeds;
  #clock = new ShadowClock();
  #progressMs = 0;
  #hasCaughtUp = false;

  constructor(needs: JoinerNeeds) {
    this.#needs = needs;
  }

  /** A shadow stands, from before a crash. */
  get isBegun(): boolean {
    const { state } = this.#pinset.shadow;
    return state === 'filling' || state === 'indexing' || state === 'ready';
  }

  get progress(): { done: number; of: number } {
    const { shadow } = this.#pinset;
    return { done: shadow.state === 'none' || shadow.state === 'emptying' ? 0 : shadow.nextBucket, of: bucketCount };
  }

  /** C', for the Hello of a peer that rebuilds. */
  get clock(): ShadowClock {
    return this.#clock;
  }

  /** Resolves with `joined` after the swap, or `discarded` (B6). Rejects with the signal's reason or STORAGE_FAILED. */
  async run(signal: AbortSignal): Promise<'joined' | 'discarded'> {
    await this.#begin(signal);
    while (!this.#isOver()) {
      signal.throwIfAborted();
      if (await this.#step(signal)) return 'joined';
    }
    this.#discard();
    return 'discarded';
  }

  get #pinset() {
    return this.#needs.store.needs.pinset;
  }

  async #begin(signal: AbortSignal): Promise<void> {
    const { store, logger } = this.#needs;
    const { shadow } = this.#pinset;
    await this.#emptied(signal);
    const stored = ShadowClock.load(store.needs.storage.read, store.replicas);
    if (this.isBegun && stored === undefined && shadow.nextBucket > 0) {
      // Rows without the clock they stand under say nothing.
      shadow.discard();
      await this.#emptied(signal);
    }
    if (!this.isBegun) shadow.begin();
    this.#hasCaughtUp = false;
    this.#clock = (this.isBegun ? stored : undefined) ?? new ShadowClock();
    this.#progressed();
    logger.info('joining: taking in the pinset of the other peers', { fromBucket: shadow.nextBucket });
  }

  async #emptied(signal: AbortSignal): Promise<void> {
    while (this.#pinset.shadow.state === 'emptying') await sleep(this.#needs.timers, JOIN_RETRY_MS, signal);
  }

  /** One range, or what comes after the last; true: swapped. */
  async #step(signal: AbortSignal): Promise<boolean> {
    const source = this.#needs.sources()[0];
    try {
      if (!this.#needs.isOpen()) throw new Unusable('too little free disk');
      if (source === undefined) throw new Unusable('no peer that has the pinset is reached');
      if (this.#pinset.shadow.nextBucket < bucketCount) {
        await this.#range(source, signal);
        await this.#catchUp(source, signal);
        return false;
      }
      while (!(await this.#pinset.shadow.buildIndexes())) {
        this.#progressed();
        await sleep(this.#needs.timers, 0, signal); // Others get their turn.
      }
      await this.#catchUp(source, signal);
      return await this.#swap();
    } catch (problem) {
      if (signal.aborted || this.#needs.store.failure !== undefined) throw problem;
      this.#explain(problem, source);
      await sleep(this.#needs.timers, JOIN_RETRY_MS, signal);
      return false;
    }
  }

  #explain(problem: unknown, source: string | undefined): void {
    const isExpected = problem instanceof PinfoldError || problem instanceof Unusable;
    const { logger } = this.#needs;
    if (isExpected) logger.debug('joining waits', { source, problem: String(problem) });
    else logger.warn('joining was interrupted; it goes on', { source, problem: String(problem) });
  }

  #progressed(): void {
    this.#progressMs = this.#needs.store.needs.clock.monotonicMs();
  }

  /** B6: no progress for ten minutes, or C covers the goal by itself. */
  #isOver(): boolean {
    const { store } = this.#needs;
    if (this.#hasCaughtUp) return true;
    if (store.needs.clock.monotonicMs() - this.#progressMs > this.#needs.options.shadowStallTimeoutMs) return true;
    const { clocks } = this.#clock;
    return clocks !== undefined && isNeedless(clocks, store.replicas.clock);
  }

  #discard(): void {
    const { store, logger } = this.#needs;
    logger.info('the shadow is discarded');
    this.#pinset.shadow.discard();
    store.needs.storage.transaction((tx) => ShadowClock.remove(tx));
    this.#clock = new ShadowClock();
  }

  /** B1 and B2 for one range. */
  async #range(source: string, signal: AbortSignal): Promise<void> {
    const { rpc } = this.#needs;
    const from = this.#pinset.shadow.nextBucket;
    const to = Math.min(from + RANGE_BUCKETS_MAX, bucketCount);
    const own = await this.#ownRows(from, to);
    const request = create(MergeRangeRequestSchema, { from, to });
    const replicas: number[] = [];
    const peers: number[] = [];
    let merged: MergedRows | undefined;
    let written = Promise.resolve();
    for await (const { message } of rpc.call(source, 'mergeRange', [request], { signal })) {
      if (message.case === 'head') {
        merged = this.#answered(readRangeHead(message.value), own, from, to);
      } else if (merged === undefined) {
        throw new Malformed('an answer without a head');
      } else if (message.case === 'rows') {
        this.#learn(message.value, replicas, peers);
        merged.add(readRangeRows(message.value.rows, replicas, peers));
        if (merged.count < SHADOW_ROWS_PER_TRANSACTION) continue;
        const { rows, toBucket } = merged.takeComplete();
        await written; // One transaction on its way to the disk while the next is read.
        if (toBucket > this.#pinset.shadow.nextBucket) written = this.#append(rows, toBucket);
      } else if (message.case === 'end') {
        const end = message.value.to;
        if (end <= from || end > to) throw new Malformed('a range that ends outside itself');
        await written;
        written = this.#append(merged.takeRest(end), end);
      }
    }
    await written;
  }

  /** Rows M and clock Cm: one flushed state (fault equal-from-later). */
  async #ownRows(from: number, to: number): Promise<{ rows: RangeRow[]; clock: FullClockEntry[] }> {
    const snapshot = await this.#pinset.snapshot();
    try {
      const rows: RangeRow[] = [];
      for (const row of snapshot.rows(from, to)) {
        rows.push(row);
        if (rows.length > MERGED_OWN_ROWS_MAX)
          throw new PinfoldError('UNIMPLEMENTED', 'a peer with rows cannot rebuild yet');
      }
      return { rows, clock: clockOf(snapshot.reader) };
    } finally {
      snapshot.close();
    }
  }

  /** E := Cm join Ct, if it covers C'. */
  #answered(
    ct: readonly FullClockEntry[],
    own: { rows: RangeRow[]; clock: FullClockEntry[] },
    from: number,
    to: number,
  ): MergedRows {
    const { store } = this.#needs;
    const theirs = byRid(ct);
    const mine = byRid(own.clock);
    const clocks = answered(this.#clock.clocks, sequencesOf(mine), sequencesOf(theirs));
    if (clocks === 'useless') {
      this.#hasCaughtUp = true; // Gossip was faster: what the source has came batch by batch.
      throw new Unusable('the source has nothing new');
    }
    if (clocks === 'behind') throw new Unusable('the source is behind the shadow');
    const e = new Map(mine);
    for (const [ridText, entry] of theirs) {
      if (entry.sequence > (e.get(ridText)?.sequence ?? 0)) e.set(ridText, entry);
    }
    this.#clock.answered(clocks, e.values(), store.replicas);
    const covered = (clock: ReadonlyMap<string, FullClockEntry>) => (replica: number) =>
      clock.get(store.replicas.byNumber(replica)?.ridText ?? '')?.sequence ?? 0;
    const rids = this.#pinset.names.replicas;
    return new MergedRows({ mine: own.rows, cm: covered(mine), ct: covered(theirs), rids, from, to });
  }

  #learn(tables: { rids: Uint8Array[]; peers: Uint8Array[] }, replicas: number[], peers: number[]): void {
    const { names } = this.#pinset;
    for (const rid of tables.rids) replicas.push(names.replicas.ensure(rid));
    for (const peer of tables.peers) peers.push(names.peers.ensure(formatPeerId(peer)));
  }

  #append(rows: RangeRow[], toBucket: number): Promise<void> {
    const { store, metrics } = this.#needs;
    for (const { key } of rows) store.learnNamespace(key);
    const { flushed } = store.needs.storage.transaction((tx) => {
      this.#pinset.shadow.append(tx, rows, toBucket);
      this.#clock.put(tx);
    });
    metrics.joinRows.add(rows.length);
    this.#progressed();
    flushed.catch(() => {}); // Awaited later, by the next append; it must not be unhandled until then.
    return flushed;
  }

  /** B3: the shadow takes what its clock lacks, from the own log first, then from the source. */
  async #catchUp(source: string, signal: AbortSignal): Promise<void> {
    const { store, rpc } = this.#needs;
    await this.#ownLog();
    await store.needs.storage.flushed();
    const clock = this.#clock.entries().map(({ replica, sequence, hash }) => clockEntry(replica.rid, sequence, hash));
    let group: Batch[] = [];
    let operations = 0;
    let bytes = 0;
    const end = await sync(rpc, {
      peerId: source,
      clock,
      follow: false,
      signal,
      known: this.#clock,
      take: async (batch) => {
        group.push(batch);
        operations += batch.head.last - batch.head.first + 1;
        bytes += batch.ops.length;
        if (operations < GROUP_OPS_MAX && bytes < GROUP_BYTES_MAX) return;
        await this.#apply(group);
        group = [];
        operations = bytes = 0;
      },
    });
    if (end === 'full-needed') throw new Unusable('the source has cut its log above the shadow');
    await this.#apply(group);
  }

  /** What the live store took in by itself meanwhile. */
  async #ownLog(): Promise<void> {
    const { store } = this.#needs;
    const { storage } = store.needs;
    await storage.flushed();
    const behind = this.#clock.entries().map(({ replica, sequence }) => ({ rid: replica.rid, sequence }));
    const log = new LogReader(behind);
    for (;;) {
      const next = log.next(storage.read, store.replicas.sorted());
      if (next === undefined) return;
      await this.#apply([openBatch(next.parts)]);
    }
  }

  /** R1 to R6 with C', H' and the shadow; an operation on a bucket not yet filled only moves C'. One transaction. */
  async #apply(batches: readonly Batch[]): Promise<void> {
    const { store } = this.#needs;
    const { shadow } = this.#pinset;
    const clock = new StagedClock(this.#clock);
    const group: Prepared[] = [];
    for (const batch of batches) {
      const verdict = judge(clock, batch);
      if (verdict === 'duplicate') continue;
      if (verdict !== 'apply') throw new Unusable(`a batch that cannot be applied: ${verdict}`);
      group.push(this.#prepare(batch, clock));
      clock.stage({ replica: store.replicas.ensure(nameIn(batch)), sequence: batch.head.last, hash: batch.hash });
    }
    if (group.length === 0) return;
    const steps = clock.steps();
    const { committed } = store.needs.storage.transaction((tx) => {
      const rows = new TransactionRows();
      for (const prepared of group) {
        applyTo(
          rows,
          prepared,
          store,
          (key) => shadow.row(tx, key),
          (key) => bucketOf(key) < shadow.nextBucket,
        );
        putLog(tx, prepared);
      }
      this.#clock.put(tx, steps);
      shadow.write(tx, rows.changes());
    });
    for (const step of steps) this.#clock.step(step);
    this.#progressed();
    await committed;
  }

  #prepare(batch: Batch, clock: StagedClock): Prepared {
    try {
      return prepare(this.#needs.store, batch, clock);
    } catch (problem) {
      if (problem instanceof InvalidBatch || problem instanceof AuthorErred) throw new Unusable(problem.message);
      throw problem;
    }
  }

  /** B5. True: done. */
  async #swap(): Promise<boolean> {
    const { store, logger } = this.#needs;
    const { storage } = store.needs;
    // What was taken in since: at most a few operations, or another round. No await between here and the transaction.
    await this.#ownLog();
    const entries = this.#clock.entries();
    const { clock, floors: floorsBefore } = store.replicas;
    const { clocks } = this.#clock;
    if (clocks === undefined || !maySwap(clocks, clock) || !covers(clocks.taken, clock)) return false;
    const after = swapped(clocks, clock, floorsBefore);
    const steps: ClockStep[] = entries.map(({ replica, sequence, hash }) => ({ replica, sequence, hash }));
    const floors = entries.map(({ replica }) => after.floors.get(replica.ridText) ?? 0);
    const commit = storage.transaction((tx) => {
      for (const [i, step] of steps.entries()) store.replicas.put(tx, step, floors[i]);
      ShadowClock.remove(tx);
      // I12: an empty store changes nearly every key.
      this.#pinset.shadow.swap(tx, 'everything');
    });
    for (const [i, { replica }] of entries.entries()) replica.floor = floors[i] as number;
    await store.queued(commit, steps, true);
    logger.info('joined', { pins: this.#pinset.count() });
    return true;
  }
}

function byRid(entries: readonly FullClockEntry[]): Map<string, FullClockEntry> {
  return new Map(entries.map((entry) => [text(entry.name.rid), entry]));
}

function sequencesOf(entries: ReadonlyMap<string, FullClockEntry>): Map<string, number> {
  return new Map([...entries].map(([ridText, { sequence }]) => [ridText, sequence]));
}

function text(rid: Uint8Array): string {
  return Buffer.from(rid).toString('latin1');
}

function nameIn({ rid, head }: Batch) {
  return { rid, author: head.author, incarnation: head.incarnation };
}

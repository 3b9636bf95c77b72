import { create } from '@bufbuild/protobuf';
import {
  RepairBucketsRequestSchema,
  type RepairBucketsResponse,
  RepairBucketsResponseSchema,
} from '../../../../gen/pinfold/peer/v1/repair_pb.ts';
import { PinfoldError } from '../../../model/errors.ts';
import { rowDamagedBuckets } from '../../../pinset/scrub/scrub.ts';
import type { Timers } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/logger.ts';
import type { Repair, RepairBucket, RepairEvent, RepairOptions, RepairPeer, RepairResult } from '../../repair.ts';
import { PLANNED_BUCKETS_MAX, REPAIRED_BUCKETS_MAX } from '../constants.ts';
import type { CrdtMetrics } from '../metrics.ts';
import { only, type PeerCalls } from '../peer-calls.ts';
import type { CrdtStore } from '../state/store.ts';
import { checkBuckets } from './bucket-server.ts';
import { type Comparison, compareDigests } from './comparison.ts';
import { type Exchanged, exchange } from './exchange.ts';
import { giveUp } from './give-up.ts';

export interface StoreRepairNeeds {
  store: CrdtStore;
  rpc: PeerCalls;
  timers: Timers;
  metrics: CrdtMetrics;
  logger: Logger;
  /** Reachable trusted peers that state is taken from. */
  sources(): string[];
  /** Taking in the pinset. */
  isBusy(): boolean;
  isDiskLow?(): boolean;
  /** A shadow that was begun in the middle (B6). */
  discardShadow(): void;
  /** Something was written in common with that peer. */
  onRepaired(peerId: string): void;
}

/** What the peers have goes round in two; a third is for what changed meanwhile. */
const APPLIED_ROUNDS_MAX = 3;

type Totals = { -readonly [K in keyof RepairResult]: RepairResult[K] };

/** Section 8, repair: between this peer and each source, of the buckets that differ. */
export class StoreRepair implements Repair {
  readonly #needs: StoreRepairNeeds;
  readonly #abort = new AbortController();
  #isRunning = false;
  /** Of rows that could not be read, and were replaced, nobody knows the index entries. */
  #areOrphansExpected = false;
  #mending: Promise<void> | undefined;

  constructor(needs: StoreRepairNeeds) {
    this.#needs = needs;
  }

  async *run({ apply, acceptLoss = false, signal }: RepairOptions): AsyncGenerator<RepairEvent> {
    this.#checkReady();
    if (this.#isRunning) throw new PinfoldError('LIMIT_REACHED', 'a repair of this store is under way already');
    this.#isRunning = true;
    const totals: Totals = { ...nothing };
    try {
      for (let round = 0; round < (apply ? APPLIED_ROUNDS_MAX : 1); round++) {
        const { writtenHere } = totals;
        for (const peerId of this.#needs.sources()) yield* this.#withPeer({ peerId, apply, signal, totals });
        // What came from the last peer the first one lacks: once more, until nothing comes.
        if (totals.writtenHere === writtenHere) break;
        await this.#scrub.check([...new Set(this.#scrub.findings().findings.map(({ bucket }) => bucket))]);
      }
      if (apply && acceptLoss) yield* this.#givenUp(totals, signal);
      if (apply) await this.#mendIndexes(signal, totals);
      const { findings } = this.#scrub.findings();
      totals.damaged = new Set(findings.map(({ bucket }) => bucket)).size;
      yield totals;
    } finally {
      this.#isRunning = false;
    }
  }

  async stop(): Promise<void> {
    this.#abort.abort(new Error('stopped'));
    await this.#mending;
  }

  /** The part of the other side, asked for by a source. */
  async serve(buckets: readonly number[], from: string, signal: AbortSignal): Promise<RepairBucketsResponse> {
    checkBuckets(buckets);
    this.#checkReady();
    if (!this.#needs.sources().includes(from))
      throw new PinfoldError('PERMISSION_DENIED', 'no state is taken from this peer');
    let rows = 0;
    let leftOut = 0;
    for (let rest = buckets; rest.length > 0; ) {
      const exchanged = await exchange(this.#needs, { peerId: from, buckets: rest, apply: true, signal });
      rest = rest.slice(exchanged.length);
      for (const each of exchanged) {
        rows += each.written ?? 0;
        if (each.written === undefined) leftOut++;
        this.#noteReplaced(each);
      }
    }
    await this.#scrub.check(buckets);
    this.#needs.metrics.repaired.add(rows);
    this.#mendIndexesSoon();
    return create(RepairBucketsResponseSchema, { rows, leftOut });
  }

  /** It writes rows, as others' batches do. */
  #checkReady(): void {
    const { isBusy, isDiskLow } = this.#needs;
    if (isBusy()) throw new PinfoldError('JOINING', 'this peer is taking in the pinset; repair when it has');
    if (isDiskLow?.()) throw new PinfoldError('DISK_FULL', 'too little free disk to repair');
  }

  get #scrub() {
    return this.#needs.store.needs.pinset.scrub;
  }

  async *#withPeer(call: PeerRepair): AsyncGenerator<RepairEvent> {
    const { peerId, apply, signal } = call;
    try {
      const comparison = await compareDigests(this.#needs, peerId, signal);
      const buckets = this.#suspects(comparison);
      yield peerEvent(peerId, buckets.length, comparison.leftOut);
      for (let rest: readonly number[] = buckets; rest.length > 0; ) {
        const part = rest.slice(0, REPAIRED_BUCKETS_MAX);
        const exchanged = await exchange(this.#needs, { peerId, buckets: part, apply, signal });
        rest = rest.slice(exchanged.length);
        yield* this.#told(call, exchanged);
        if (apply) await this.#letRepair(call, exchanged);
      }
      if (apply && buckets.length > 0) this.#needs.onRepaired(peerId);
    } catch (problem) {
      if (signal.aborted || this.#needs.store.failure !== undefined) throw problem;
      yield peerEvent(peerId, 0, 0, problem instanceof Error ? problem.message : String(problem));
    }
  }

  /** Where the digests differ, and where one of the two knows that its rows are not what its digest says. */
  #suspects({ unequal, damagedThere }: Comparison): number[] {
    const damagedHere = rowDamagedBuckets(this.#scrub.findings().findings);
    const suspects = new Set([...unequal, ...damagedThere, ...damagedHere]);
    return [...suspects].sort((a, b) => a - b);
  }

  *#told({ peerId, apply, totals }: PeerRepair, exchanged: readonly Exchanged[]): Generator<RepairBucket> {
    for (const each of exchanged) {
      const event = bucketEvent(peerId, each);
      if (apply && each.repair !== undefined && each.written === undefined) totals.leftOut++;
      if (event.remedy === 'left-out') totals.leftOut++;
      if (event.remedy === 'none' && !needsRepair(each)) continue;
      totals.buckets++;
      this.#noteReplaced(each);
      totals.writtenHere += event.writtenHere;
      this.#needs.metrics.repaired.add(event.writtenHere);
      if (totals.buckets <= PLANNED_BUCKETS_MAX) yield event;
      else totals.untold++;
    }
  }

  /** The operator's word that what nobody has shall be lost. */
  async *#givenUp(totals: Totals, signal: AbortSignal): AsyncGenerator<RepairBucket> {
    const buckets = [...rowDamagedBuckets(this.#scrub.findings().findings)];
    for (let at = 0; at < buckets.length; at += REPAIRED_BUCKETS_MAX) {
      signal.throwIfAborted();
      for (const event of await giveUp(this.#needs, buckets.slice(at, at + REPAIRED_BUCKETS_MAX))) {
        for (const pin of event.givenUp) this.#needs.logger.warn('a damaged row was given up', { pin });
        this.#areOrphansExpected ||= event.givenUp.length > 0;
        totals.givenUp += event.givenUp.length;
        if (event.remedy === 'left-out') totals.leftOut++;
        yield event;
      }
    }
  }

  /** This side is right now, so the other can take its rows. */
  async #letRepair({ peerId, signal, totals }: PeerRepair, exchanged: readonly Exchanged[]): Promise<void> {
    const buckets = exchanged.filter(needsRepair).map(({ bucket }) => bucket);
    if (buckets.length === 0) return;
    const request = create(RepairBucketsRequestSchema, { buckets });
    const { rows, leftOut } = await only(this.#needs.rpc.call(peerId, 'repairBuckets', [request], { signal }));
    totals.writtenThere += rows;
    totals.leftOut += leftOut;
  }

  #noteReplaced({ written, repair }: Exchanged): void {
    if (written !== undefined && repair !== undefined && repair.unreadable.length > 0) this.#areOrphansExpected = true;
  }

  /** Of a store that was repaired from elsewhere: a walk through all entries, so nobody waits for it. */
  #mendIndexesSoon(): void {
    this.#mending ??= this.#mendEntries(this.#abort.signal)
      .then(
        () => {},
        (problem) => this.#needs.logger.warn('indexes could not be mended', { problem: String(problem) }),
      )
      .finally(() => {
        this.#mending = undefined;
      });
  }

  async #mendIndexes(signal: AbortSignal, totals: Totals): Promise<void> {
    await this.#scrub.check([...new Set(this.#scrub.findings().findings.map(({ bucket }) => bucket))]);
    const { added, removed } = await this.#mendEntries(signal);
    totals.indexEntriesAdded = added;
    totals.indexEntriesRemoved = removed;
  }

  async #mendEntries(signal: AbortSignal): Promise<{ added: number; removed: number }> {
    const orphans = this.#areOrphansExpected;
    this.#areOrphansExpected = false;
    try {
      return await this.#scrub.mendIndexes({ orphans, signal });
    } catch (problem) {
      this.#areOrphansExpected ||= orphans;
      throw problem;
    }
  }
}

interface PeerRepair {
  readonly peerId: string;
  readonly apply: boolean;
  readonly signal: AbortSignal;
  readonly totals: Totals;
}

const nothing: RepairResult = {
  kind: 'result',
  buckets: 0,
  untold: 0,
  writtenHere: 0,
  writtenThere: 0,
  givenUp: 0,
  leftOut: 0,
  indexEntriesAdded: 0,
  indexEntriesRemoved: 0,
  damaged: 0,
};

/** Whether the other side has something to put right. */
function needsRepair({ theirs, repair }: Exchanged): boolean {
  if (repair === undefined) return false;
  return repair.remedy === 'unite' || theirs.sum !== theirs.digest || theirs.unreadable > 0;
}

function peerEvent(
  peerId: string,
  buckets: number,
  leftOut: Comparison['leftOut'] | number,
  error?: string,
): RepairPeer {
  const left = typeof leftOut === 'object' ? leftOut.size : leftOut;
  return { kind: 'peer', peerId, buckets, leftOut: left, error };
}

function bucketEvent(peerId: string, { bucket, mine, theirs, repair, written }: Exchanged): RepairBucket {
  const { onlyHere = 0, onlyThere = 0, differing = 0 } = repair ?? {};
  return {
    kind: 'bucket',
    peerId,
    bucket,
    remedy: repair?.remedy ?? 'left-out',
    onlyHere,
    onlyThere,
    differing,
    unreadableHere: mine.unreadable.length,
    unreadableThere: theirs.unreadable,
    writtenHere: written ?? 0,
    givenUp: [],
  };
}

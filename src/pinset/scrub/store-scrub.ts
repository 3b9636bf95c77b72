import { hex } from '../../model/bytes.ts';
import { PinfoldError } from '../../model/errors.ts';
import { bucketCount, bucketOf } from '../../model/pin-key.ts';
import { type Clock, sleep, type Timers } from '../../runtime/clock.ts';
import type { Storage } from '../../storage/storage.ts';
import { SCRUB_BUCKETS_PER_STEP, SCRUB_INTERVAL_MS, SCRUB_ROWS_PER_STEP } from '../constants.ts';
import type { PinsetMetrics } from '../metrics.ts';
import type { StoredNames } from '../names.ts';
import type { PinsetSnapshot } from '../pinset.ts';
import type { TableSet } from '../tables.ts';
import { bucketStates } from './bucket-state.ts';
import { Findings } from './findings.ts';
import { IndexCheck } from './index-check.ts';
import { mendIndexes } from './index-mending.ts';
import { type EntriesRead, indexEntries, indexStart, type Orphan, readEntries } from './index-walk.ts';
import type { BucketState, Finding, Scrub, ScrubProgress } from './scrub.ts';

export interface StoreScrubInit {
  percentPerHour: number;
  rowsPerSecondMax: number;
}

export interface StoreScrubNeeds {
  storage: Storage;
  names: StoredNames;
  clock: Clock;
  timers: Timers;
  metrics: Pick<PinsetMetrics, 'scrubbed'>;
  snapshot(): Promise<PinsetSnapshot>;
  /** Whether a set is still live, with all that is queued. */
  isLive(set: TableSet): boolean;
}

type OrphansByBucket = Map<number, { count: number; example: string }>;

const hourMs = 3_600_000;
/** What has become due in more of the background's intervals than this is passed over. */
const DUE_INTERVALS_MAX = 4;

/** Each step looks at one snapshot with its digest, so what is written meanwhile raises no false alarm. */
export class StoreScrub implements Scrub {
  readonly #init: StoreScrubInit;
  readonly #needs: StoreScrubNeeds;
  readonly #findings = new Findings();
  #isRunning = false;
  /** Of the background: the bucket up to which it has read, and where it is in the indexes. */
  #dueBucket: number | undefined;
  #duePlace = indexStart;
  #dueOrphans: OrphansByBucket = new Map();

  constructor(init: StoreScrubInit, needs: StoreScrubNeeds) {
    this.#init = init;
    this.#needs = needs;
  }

  findings(): { findings: readonly Finding[]; more: number } {
    return { findings: this.#findings.all(), more: this.#findings.more };
  }

  get damagedBuckets(): number {
    return this.#findings.buckets;
  }

  onFindings(listener: () => void): () => void {
    return this.#findings.onChange(listener);
  }

  async *run({ signal }: { signal: AbortSignal }): AsyncGenerator<ScrubProgress> {
    if (this.#isRunning) throw new PinfoldError('LIMIT_REACHED', 'a scrub of this store is under way already');
    this.#isRunning = true;
    try {
      yield* this.#allRows(signal);
      yield* this.#allEntries(signal);
    } finally {
      this.#isRunning = false;
    }
  }

  async check(buckets: readonly number[]): Promise<void> {
    for (const [i, bucket] of buckets.entries()) {
      if (i > 0) await sleep(this.#needs.timers, 0);
      await this.#rows(bucket, bucket + 1);
    }
  }

  read(snapshot: PinsetSnapshot, bucket: number): BucketState {
    for (const state of this.states(snapshot, { from: bucket, to: bucket + 1, rowsMax: 1 })) return state;
    throw new RangeError(`no bucket ${bucket}`);
  }

  states({ reader, set, digest }: PinsetSnapshot, range: { from: number; to: number; rowsMax: number }) {
    return bucketStates({ reader, table: set.pins, names: this.#needs.names, digest }, range);
  }

  async mendIndexes({
    orphans: areExpected = false,
    signal,
  }: {
    orphans?: boolean;
    signal: AbortSignal;
  }): Promise<{ added: number; removed: number }> {
    const found = this.#findings.all();
    const buckets = found.filter(({ kind }) => kind === 'index').map(({ bucket }) => bucket);
    const orphans = areExpected || found.some(({ kind }) => kind === 'orphan');
    const mended = await mendIndexes(
      { ...this.#needs, read: (snapshot, bucket) => this.read(snapshot, bucket) },
      { buckets, orphans, signal },
    );
    await this.check(buckets);
    if (orphans) this.#findings.replace('orphan', new Map());
    return mended;
  }

  /**
   * What has become due of the background's round. Which buckets those are follows from the wall clock, so a restart does not
   * begin a round anew. Answers the pause until the next; undefined: it is switched off.
   */
  async due(signal: AbortSignal): Promise<number | undefined> {
    const { percentPerHour } = this.#init;
    if (percentPerHour === 0) return undefined;
    const roundMs = (100 / percentPerHour) * hourMs;
    const to = Math.floor(((this.#needs.clock.nowMs() % roundMs) / roundMs) * bucketCount);
    const from = this.#dueFrom(to, (SCRUB_INTERVAL_MS / roundMs) * bucketCount);
    this.#dueBucket = to;
    if (this.#isRunning) return SCRUB_INTERVAL_MS;
    if (to < from) await this.#dueRows(from, bucketCount, signal);
    await this.#dueRows(to < from ? 0 : from, to, signal);
    await this.#dueEntries(SCRUB_INTERVAL_MS / roundMs, signal);
    return SCRUB_INTERVAL_MS;
  }

  /** A wall clock that jumped, or a pause of the machine, must not make half the pinset due at once. */
  #dueFrom(to: number, perInterval: number): number {
    const from = this.#dueBucket ?? to;
    const due = (to - from + bucketCount) % bucketCount;
    return due > DUE_INTERVALS_MAX * Math.ceil(perInterval) ? to : from;
  }

  async #dueRows(from: number, to: number, signal: AbortSignal): Promise<void> {
    for (let bucket = from; bucket < to; ) {
      ({ bucket } = await this.#rows(bucket, to));
      await sleep(this.#needs.timers, 0, signal);
    }
  }

  async #dueEntries(fraction: number, signal: AbortSignal): Promise<void> {
    let left = 1;
    for (let isFirst = true; left > 0; isFirst = false) {
      const { place, entries, orphans, of } = await this.#entries(this.#duePlace);
      if (isFirst) left = of * fraction;
      left -= Math.max(1, entries);
      gather(this.#dueOrphans, orphans);
      this.#duePlace = place ?? indexStart;
      if (place === undefined) {
        this.#findings.replace('orphan', this.#dueOrphans);
        this.#dueOrphans = new Map();
      }
      await sleep(this.#needs.timers, 0, signal);
    }
  }

  async *#allRows(signal: AbortSignal): AsyncGenerator<ScrubProgress> {
    let rows = 0;
    for (let bucket = 0; bucket < bucketCount; ) {
      signal.throwIfAborted();
      const startMs = this.#needs.clock.monotonicMs();
      const read = await this.#rows(bucket, bucketCount);
      bucket = read.bucket;
      rows += read.rows;
      yield { phase: 'rows', done: bucket, of: bucketCount, rows, damaged: this.damagedBuckets };
      await this.#pause(read.rows, startMs, signal);
    }
  }

  async *#allEntries(signal: AbortSignal): AsyncGenerator<ScrubProgress> {
    const found: OrphansByBucket = new Map();
    let done = 0;
    for (let at: EntriesRead['place'] = indexStart; at !== undefined; ) {
      signal.throwIfAborted();
      const startMs = this.#needs.clock.monotonicMs();
      const { place, entries, orphans, of } = await this.#entries(at);
      at = place;
      done += entries;
      gather(found, orphans);
      yield { phase: 'indexes', done, of: Math.max(done, of), rows: done, damaged: this.damagedBuckets };
      await this.#pause(entries, startMs, signal);
    }
    this.#findings.replace('orphan', found);
    yield { phase: 'indexes', done, of: done, rows: done, damaged: this.damagedBuckets };
  }

  /** So that no more are read in a second than the configuration allows; others get a turn in any case. */
  #pause(read: number, startMs: number, signal: AbortSignal): Promise<void> {
    const { clock, timers } = this.#needs;
    const dueMs = startMs + (read / this.#init.rowsPerSecondMax) * 1_000;
    return sleep(timers, Math.max(0, dueMs - clock.monotonicMs()), signal);
  }

  /** The rows of whole buckets from `from` on, in one snapshot; answers the next bucket. */
  async #rows(from: number, to: number): Promise<{ bucket: number; rows: number }> {
    const { names, snapshot: take, metrics } = this.#needs;
    const snapshot = await take();
    const { reader, set, metadata } = snapshot;
    const read = { bucket: from, rows: 0 };
    try {
      const indexes = new IndexCheck({ reader, set, metadata, names });
      const range = { from, to: Math.min(to, from + SCRUB_BUCKETS_PER_STEP), rowsMax: SCRUB_ROWS_PER_STEP };
      for (const state of this.states(snapshot, range)) {
        this.#judge(state, indexes);
        read.rows += state.rows.length + state.unreadable.length;
        read.bucket = state.bucket + 1;
      }
    } finally {
      snapshot.close();
    }
    metrics.scrubbed.add(read.rows, { what: 'rows' });
    return read;
  }

  #judge({ bucket, rows, unreadable, sum, digest }: BucketState, indexes: IndexCheck): void {
    const found = (kind: Finding['kind'], count: number, example: string | undefined) =>
      this.#findings.set({ bucket, kind, count, example });
    found('row', unreadable.length, unreadable[0]?.problem);
    // Beside a row that cannot be read the sum says nothing new.
    const isOff = sum !== digest && unreadable.length === 0;
    found('sum', 1, isOff ? `its ${rows.length} rows do not add up to its digest` : undefined);
    let missing = 0;
    let example: string | undefined;
    for (const { key, row } of rows) {
      const entries = indexes.missing(key, row);
      missing += entries.length;
      if (entries.length > 0) example ??= `the pin with the key ${hex(key)} is not in ${entries[0]?.[0]}`;
    }
    found('index', missing, example);
  }

  /** Some index entries in one snapshot. */
  async #entries(at: typeof indexStart): Promise<EntriesRead & { of: number }> {
    const { names, storage, snapshot: take, metrics } = this.#needs;
    const snapshot = await take();
    try {
      const read = readEntries(snapshot, names, at);
      metrics.scrubbed.add(read.entries, { what: 'entries' });
      return { ...read, of: indexEntries(storage, snapshot.set) };
    } finally {
      snapshot.close();
    }
  }
}

function gather(into: OrphansByBucket, orphans: readonly Orphan[]): void {
  for (const { table, entry, keyHash } of orphans) {
    const bucket = bucketOf(keyHash);
    const known = into.get(bucket);
    const example = known?.example ?? `${table} has an entry of no pin: ${hex(entry)}`;
    into.set(bucket, { count: (known?.count ?? 0) + 1, example });
  }
}

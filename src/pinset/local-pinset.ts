import { toV0, toV1 } from '../model/cid.ts';
import { PinfoldError } from '../model/errors.ts';
import type { PinKey } from '../model/pin.ts';
import { pinKeyPrefix } from '../model/pin-key.ts';
import type { Clock, Timers } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import type { MetricsRegister } from '../runtime/metrics.ts';
import type { Commit, Reader, Storage, Transaction } from '../storage/storage.ts';
import { Background } from './background.ts';
import { feedRow } from './codec/feed-row.ts';
import { IndexedFields } from './codec/pin-value.ts';
import {
  CHECKPOINT_INTERVAL_MS,
  CHECKPOINT_REVISIONS_MAX,
  EMPTYING_PAUSE_MS,
  FEED_TRIM_INTERVAL_MS,
} from './constants.ts';
import { DigestSums } from './digest-sums.ts';
import { emptyPiece } from './emptying.ts';
import { lastRevision, revisionKey, StoredFeed } from './feed.ts';
import { trimPiece } from './feed-trim.ts';
import { after, hashInTimeKey, timeBound, timeKey } from './index-keys.ts';
import { Indexer, metadataIndex } from './indexer.ts';
import { MetadataBuilder } from './metadata-builder.ts';
import { type PinsetMetrics, pinsetMetrics } from './metrics.ts';
import { StoredNames } from './names.ts';
import { listPins } from './pin-list.ts';
import type { Mending, PinPage, PinQuery, PinRow, Pinset, PinsetSnapshot, RowChange, StoredPin } from './pinset.ts';
import { completeInit, type PinsetInit } from './pinset-init.ts';
import { recount, replay } from './recovery.ts';
import { shownDot } from './row-hash.ts';
import { addTo, mendRows, writeRows } from './row-writer.ts';
import { readFields, rowFromDisk, unlessCorrupt } from './rows.ts';
import { StoreScrub } from './scrub/store-scrub.ts';
import { sumBytes } from './scrub/sum.ts';
import { checkFormat, checkpointIn, putCheckpoint, putFormat, Sets } from './sets-state.ts';
import { ShadowSet } from './shadow-set.ts';
import { type InFlight, pinsetSnapshot, takeBack } from './snapshots.ts';
import { storedPin } from './stored-pin.ts';
import { feedTable, type TableSet, tableSets } from './tables.ts';
import { Unsettled } from './unsettled.ts';

export interface PinsetNeeds {
  /** Opened with `pinsetTables`. */
  storage: Storage;
  clock: Clock;
  timers: Timers;
  logger: Logger;
  metrics: MetricsRegister;
}

/** The pinset of this peer, in its store. */
export function pinset(init: PinsetInit, needs: PinsetNeeds): Pinset {
  return new LocalPinset(init, needs);
}

class LocalPinset implements Pinset {
  readonly names: StoredNames;
  readonly feed: StoredFeed;
  readonly shadow: ShadowSet;
  readonly scrub: StoreScrub;
  readonly #init: Required<PinsetInit>;
  readonly #needs: PinsetNeeds;
  readonly #metrics: PinsetMetrics;
  readonly #unsettled: Unsettled;
  readonly #sets: Sets;
  readonly #indexer: Indexer;
  readonly #metadataBuilder: MetadataBuilder;
  readonly #background: Background;
  #sums = new DigestSums();
  /** Of the last queued transaction. */
  #revision = 0;
  #checkpoint = 0;
  #inFlight: InFlight[] = [];
  /** The set that is live in committed state. */
  #readSet: TableSet = tableSets.a;

  constructor(init: PinsetInit, needs: PinsetNeeds) {
    this.#init = completeInit(init);
    const { indexedMetadata } = this.#init;
    this.#needs = needs;
    const { storage, timers, logger } = needs;
    this.names = new StoredNames(storage);
    this.feed = new StoredFeed(storage);
    this.#unsettled = new Unsettled(
      storage,
      (commit) => this.#queued(commit),
      (failure) => this.feed.fail(failure),
    );
    this.#sets = new Sets(this.#unsettled);
    this.#indexer = new Indexer(this.names, indexedMetadata.map(metadataIndex));
    this.#background = new Background(timers, logger);
    this.#metadataBuilder = new MetadataBuilder({
      storage,
      names: this.names,
      sets: this.#sets,
      indexer: this.#indexer,
    });
    this.shadow = new ShadowSet({
      storage,
      names: this.names,
      sets: this.#sets,
      indexedMetadata,
      swapIn: (tx, digest, changed) => this.#swapIn(tx, digest, changed),
      onDead: () => this.#emptyDeadSet(),
    });
    this.#metrics = pinsetMetrics(needs.metrics, {
      pins: () => this.count(),
      rowBytes: () => storage.tableSize(this.#readSet.pins).bytes,
      indexBytes: () => this.#indexBytes(),
      feedBytes: () => storage.tableSize(feedTable).bytes,
      revision: () => this.feed.revision,
      damagedBuckets: () => this.scrub.damagedBuckets,
    });
    this.scrub = new StoreScrub(
      { percentPerHour: this.#init.scrubPercentPerHour, rowsPerSecondMax: this.#init.scrubRowsPerSecondMax },
      {
        ...needs,
        names: this.names,
        metrics: this.#metrics,
        snapshot: () => this.snapshot(),
        isLive: (set) => set === this.#sets.live,
      },
    );
  }

  get digest(): DigestSums {
    return this.#sums;
  }

  row(tx: Transaction, key: PinKey): PinRow {
    return rowFromDisk(this.names, key, tx.get(this.#sets.live.pins, key));
  }

  write(tx: Transaction, changes: readonly RowChange[]): void {
    this.#unsettled.check(tx);
    const written = writeRows(tx, this.#sets.live, this.names, this.#indexer, changes);
    const sums = this.#sums;
    const undo = addTo(sums, written);
    this.#advance(tx, feedRow.end(false, this.#needs.clock.nowMs()), false, undo);
    this.#metrics.changes.add(changes.length);
  }

  mend(tx: Transaction, { set, changes, unreadable, corrections }: Mending): void {
    this.#unsettled.check(tx);
    if (set !== this.#sets.live)
      throw new PinfoldError('LIMIT_REACHED', 'the pinset was rebuilt meanwhile; look again');
    const sums = this.#sums;
    const checkpoint = this.#checkpoint;
    const written = mendRows(tx, this.#sets.live, this.names, this.#indexer, { changes, unreadable });
    const undo = addTo(sums, written);
    for (const { bucket, add } of corrections) sums.add(bucket, sumBytes(add));
    this.#advance(
      tx,
      feedRow.end(false, this.#needs.clock.nowMs()),
      false,
      () => {
        undo();
        for (const { bucket, add } of corrections) sums.subtract(bucket, sumBytes(add));
        sums.touchAll();
        this.#checkpoint = checkpoint;
      },
      corrections,
    );
    // Corrections are in no feed row, so a start must not count from before them.
    sums.save(tx, this.#sets.live);
    putCheckpoint(tx, this.#revision);
    this.#checkpoint = this.#revision;
    this.#metrics.changes.add(changes.length + unreadable.length);
  }

  get(key: PinKey): StoredPin | undefined {
    const row = this.#committedRow(key);
    return row.length === 0 ? undefined : storedPin(this.names, key, row);
  }

  claims(cid: Uint8Array): StoredPin[] {
    const found: StoredPin[] = [];
    for (const version of [toV0(cid), toV1(cid)]) {
      if (version === undefined) continue;
      const prefix = pinKeyPrefix(version);
      for (const { key, value } of this.#read.range(this.#readSet.pins, { from: prefix, to: after(prefix) })) {
        found.push(storedPin(this.names, key, rowFromDisk(this.names, key, value)));
      }
    }
    return found;
  }

  list(query: PinQuery): PinPage {
    const { names } = this;
    // While a swap is on its way to be committed, the state speaks of the other set.
    const metadata = this.#readSet === this.#sets.live ? this.#sets.state.metadata : [];
    const indexedMetadata = metadata.filter((key) => this.#init.indexedMetadata.includes(key));
    return listPins({ reader: this.#read, set: this.#readSet, names, indexer: this.#indexer, indexedMetadata }, query);
  }

  keys(behind: PinKey | undefined, limit: number): PinKey[] {
    const range = behind === undefined ? { limit } : { from: Uint8Array.of(...behind, 0), limit };
    return Array.from(this.#read.range(this.#readSet.pins, range), ({ key }) => key);
  }

  expired(nowMs: number, limit: number): StoredPin[] {
    const found: StoredPin[] = [];
    const { byExpiry, pins } = this.#readSet;
    for (const { key: entry } of this.#read.range(byExpiry, { to: timeBound(nowMs + 1), limit })) {
      const keyHash = hashInTimeKey(entry);
      for (const { key, value } of this.#read.range(pins, { from: keyHash, to: after(keyHash) })) {
        const pin = unlessCorrupt(() => this.#expiredPin(key, value, entry));
        if (pin !== undefined) found.push(pin);
      }
    }
    return found.slice(0, limit);
  }

  /** Undefined: the entry is of another pin whose key begins alike, or of what this one was before. */
  #expiredPin(key: PinKey, value: Uint8Array, entry: Uint8Array): StoredPin | undefined {
    const fields = new IndexedFields();
    const row = rowFromDisk(this.names, key, value);
    readFields(fields, key, shownDot(this.names, row)?.value ?? new Uint8Array(0));
    const own = timeKey(key, this.#indexer.namespaceOf(key), fields.expiresMs);
    const isOwn = fields.expiresMs > 0 && Buffer.compare(own, entry) === 0;
    return isOwn ? storedPin(this.names, key, row) : undefined;
  }

  count(): number {
    return this.#needs.storage.tableSize(this.#readSet.pins).entries;
  }

  liveBytes(): number {
    return this.#needs.storage.tableSize(this.#readSet.pins).bytes + this.#indexBytes();
  }

  flushed(): Promise<void> {
    return this.#needs.storage.flushed();
  }

  async snapshot(): Promise<PinsetSnapshot> {
    while (this.#inFlight.some(({ feedRow: row }) => row === undefined)) {
      // The digest before a swap is gone: wait until its other side can be seen.
      await this.#needs.storage.transaction(() => {}).committed;
    }
    const digest = this.#sums.copy();
    const inFlight = [...this.#inFlight];
    const reader = await this.#needs.storage.snapshot();
    const revision = lastRevision(reader);
    for (const later of inFlight) if (later.revision > revision) takeBack(digest, later);
    return pinsetSnapshot(reader, { names: this.names, digest, revision });
  }

  async open(): Promise<void> {
    const { storage, logger } = this.#needs;
    const { read } = storage;
    if (!checkFormat(read)) await storage.transaction(putFormat).committed;
    this.names.load();
    this.#sets.load(read);
    this.#readSet = this.#sets.live;
    this.#revision = lastRevision(read);
    this.#checkpoint = checkpointIn(read);
    this.#sums.load(read, this.#readSet);
    if (!replay(this.#sums, read, this.#checkpoint, this.#revision)) {
      logger.warn('the digest is counted anew, as the feed does not reach back to it', { revision: this.#revision });
      await recount(this.#sums, this.#needs, this.names, this.#readSet);
      this.#sums.touchAll();
      this.#saveDigest();
    }
    this.shadow.load();
    this.#metadataBuilder.configure(this.#init.indexedMetadata, this.count() === 0);
    await storage.flushed();
    this.feed.flushed(this.#revision);
  }

  async start(): Promise<void> {
    const { storage, clock } = this.#needs;
    const { feedAgeMs, feedBytesMax } = this.#init;
    this.#background.start();
    this.#background.run('the upkeep of the digest on disk', async () => {
      this.#saveDigest();
      return CHECKPOINT_INTERVAL_MS;
    });
    this.#background.run('the trimming of the change feed', async () => {
      const keepFrom = Math.min(this.#checkpoint, this.feed.flushedRevision);
      const trimmed = await trimPiece(storage, { nowMs: clock.nowMs(), feedAgeMs, feedBytesMax, keepFrom });
      this.#metrics.feedTrimmed.add(trimmed);
      return trimmed > 0 ? 0 : FEED_TRIM_INTERVAL_MS;
    });
    this.#background.run('the scrubbing of rows', (signal) => this.scrub.due(signal));
    this.#background.run('the indexing of metadata', () => this.#metadataBuilder.step());
    this.#emptyDeadSet();
  }

  async stop(): Promise<void> {
    await this.#background.stop();
    if (this.#background.wasStarted) this.#saveDigest();
  }

  get #read(): Reader {
    return this.#needs.storage.read;
  }

  #committedRow(key: PinKey): PinRow {
    return rowFromDisk(this.names, key, this.#read.get(this.#readSet.pins, key));
  }

  #indexBytes(): number {
    const { byName, byCreated, byExpiry, byMetadata } = this.#readSet;
    const bytes = [byName, byCreated, byExpiry, byMetadata].map((table) => this.#needs.storage.tableSize(table).bytes);
    return bytes.reduce((sum, size) => sum + size, 0);
  }

  /** Puts the feed row of the next revision. */
  #advance(
    tx: Transaction,
    row: Uint8Array,
    isSwap: boolean,
    undo: () => void,
    corrections: InFlight['corrections'] = [],
  ): void {
    const revision = this.#revision + 1;
    const key = revisionKey(revision);
    tx.put(feedTable, key, row);
    this.#revision = revision;
    this.#inFlight.push({ revision, feedRow: isSwap ? undefined : row, corrections });
    this.#unsettled.add({
      isQueued: (later) => later.get(feedTable, key) !== undefined,
      undo: () => {
        this.#revision = revision - 1;
        this.#inFlight.pop();
        undo();
        this.#metrics.undone.add(1);
      },
    });
  }

  #queued(commit: Commit<void>): void {
    const revision = this.#revision;
    const set = this.#sets.live;
    commit.committed.then(
      () => {
        this.#readSet = set;
        this.#inFlight = this.#inFlight.filter((later) => later.revision > revision);
        this.feed.committed(revision);
      },
      (failure) => this.feed.fail(failure),
    );
    commit.flushed.then(
      () => this.feed.flushed(revision),
      (failure) => this.feed.fail(failure),
    );
    if (revision - this.#checkpoint >= CHECKPOINT_REVISIONS_MAX) this.#saveDigest();
  }

  #saveDigest(): void {
    const revision = this.#revision;
    if (revision === this.#checkpoint) return;
    this.#needs.storage.transaction((tx) => {
      this.#sums.save(tx, this.#sets.live);
      putCheckpoint(tx, revision);
    });
    this.#checkpoint = revision;
  }

  #swapIn(tx: Transaction, digest: DigestSums, changed: readonly PinKey[] | 'everything'): void {
    const { sums, checkpoint } = { sums: this.#sums, checkpoint: this.#checkpoint };
    feedRow.begin();
    if (changed !== 'everything') for (const key of changed) feedRow.addKey(key);
    this.#advance(tx, feedRow.end(changed === 'everything', this.#needs.clock.nowMs()), true, () => {
      this.#sums = sums;
      this.#checkpoint = checkpoint;
    });
    // The digest of the shadow is written with its rows: it is true for this revision.
    putCheckpoint(tx, this.#revision);
    this.#checkpoint = this.#revision;
    this.#sums = digest;
  }

  #emptyDeadSet(): void {
    this.#background.run('the emptying of the old tables', async () => {
      await this.#needs.storage.transaction(() => {}).committed;
      if (this.shadow.state !== 'emptying') return undefined;
      const removed = await emptyPiece(this.#needs.storage, this.#sets.shadow);
      this.#metrics.emptied.add(removed);
      if (removed > 0) return EMPTYING_PAUSE_MS;
      if (this.shadow.state === 'emptying') {
        this.#needs.storage.transaction((tx) => this.#sets.change(tx, { shadow: 'none' }));
      }
      return undefined;
    });
  }
}

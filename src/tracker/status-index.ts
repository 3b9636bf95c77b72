import { create, toBinary } from '@bufbuild/protobuf';
import { StatusStateSchema } from '../../gen/pinfold/store/v1/store_pb.ts';
import { byteString, compareBytes } from '../model/bytes.ts';
import { formatCid } from '../model/cid.ts';
import { pinKeyParts } from '../model/pin-key.ts';
import type { WishStatus } from '../model/status.ts';
import { unlessCorrupt } from '../pinset/rows.ts';
import type { Clock, Timer, Timers } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Random } from '../runtime/random.ts';
import type { Storage, Transaction } from '../storage/storage.ts';
import { GROUP_DELAY_MS, GROUP_INTERVAL_MS, GROUP_ROWS_ENOUGH } from './constants.ts';
import { FLOWS } from './flow.ts';
import type { TrackerOptions } from './options.ts';
import { decodeStatusRow, encodeStatusRow } from './status-codec.ts';
import { StoredStatusFeed } from './status-feed.ts';
import { isDueKept, lostRow, type RowStatus, rowStatuses, type StatusRow, wishStatus } from './status-row.ts';
import { storedState } from './stored.ts';
import {
  after,
  byStatusKey,
  byStatusTable,
  type DueLane,
  dueBound,
  dueEnd,
  dueKey,
  dueKeyParts,
  dueTable,
  intakeKey,
  intakeTable,
  nothing,
  type PieceId,
  stateTable,
  statusNumber,
  statusPrefixed,
  statusStateKey,
  statusTable,
} from './tables.ts';
import { type IndexedStatus, indexedStatuses } from './tracker.ts';

export interface StatusIndexNeeds {
  storage: Storage;
  clock: Clock;
  timers: Timers;
  random: Random;
  logger: Logger;
  history: () => Uint8Array;
}

export interface StatusIndexEvents {
  /** Whether rows are to be expected soon. */
  isBusy(): boolean;
  /** Just before a group is written: the last chance to put rows into it. */
  onGroup(): void;
  onFlushed(): void;
  onFailure(error: unknown): void;
}

export interface DueOptions {
  limit: number;
  isPassedOver: (cid: Uint8Array) => boolean;
}

interface Change {
  cid: Uint8Array;
  /** Undefined: the row goes. */
  row: StatusRow | undefined;
}

interface Written extends Change {
  before: StatusRow | undefined;
}

/**
 * The status rows with their indexes, counters and feed. Rows are written in groups: what was settled while the
 * group before was being flushed. One group at a time is under way, so reads of the storage see all groups but that.
 */
export class StatusIndex {
  readonly feed: StoredStatusFeed;
  readonly #needs: StatusIndexNeeds;
  readonly #events: StatusIndexEvents;
  readonly #counts = new Map<RowStatus, number>();
  #changes = new Map<string, Change>();
  #released: PieceId[] = [];
  /** The group under way, until it is flushed. */
  #writing = new Map<string, Written>();
  #isWriting = false;
  #timer: Timer | undefined;
  /** When the timer fires, or would. */
  #writeAtMs = Number.POSITIVE_INFINITY;
  #wroteAtMs = Number.NEGATIVE_INFINITY;
  #idle = Promise.resolve();
  #failure: unknown;

  constructor(options: TrackerOptions, needs: StatusIndexNeeds, events: StatusIndexEvents) {
    this.#needs = needs;
    this.#events = events;
    this.feed = new StoredStatusFeed(options, needs, (cid) => this.#told(cid));
  }

  open(): void {
    const stored = this.#needs.storage.read.get(stateTable, statusStateKey);
    const state = stored && storedState(stored);
    if (stored === undefined || state !== undefined) {
      this.feed.open(state);
      rowStatuses.forEach((status, i) => {
        this.#counts.set(status, Number(state?.counts[i] ?? 0n));
      });
    } else {
      this.#needs.logger.warn('the state of the status index is damaged; its rows are counted anew');
      this.feed.openAnew();
      this.#recount();
    }
    if (state === undefined) this.#needs.storage.transaction((tx) => this.#putState(tx));
  }

  #recount(): void {
    for (const { value } of this.#needs.storage.read.range(statusTable)) {
      const row = unlessCorrupt(() => decodeStatusRow(value));
      if (row !== undefined) this.#counts.set(row.status, this.count(row.status) + 1);
    }
  }

  /** Rows of that status, those not flushed yet included. */
  count(status: RowStatus): number {
    return this.#counts.get(status) ?? 0;
  }

  rows(): number {
    let rows = 0;
    for (const count of this.#counts.values()) rows += count;
    return rows;
  }

  /** Rows that wait for the next group. */
  get waiting(): number {
    return this.#changes.size;
  }

  /** The newest row, maybe not written yet: what the tracker itself goes by. */
  newest(cid: Uint8Array): StatusRow | undefined {
    const key = byteString(cid);
    const change = this.#changes.get(key) ?? this.#writing.get(key);
    return change === undefined ? this.#stored(cid) : change.row;
  }

  /** Whether a row of it waits for the next group, or is on its way to the disk: the newest differs from the flushed one. */
  isChanging(cid: Uint8Array): boolean {
    if (this.#changes.size === 0 && this.#writing.size === 0) return false;
    const key = byteString(cid);
    return this.#changes.has(key) || this.#writing.has(key);
  }

  /** The row as of the last flush: what others may be told. */
  flushed(cid: Uint8Array): StatusRow | undefined {
    const written = this.#writing.size === 0 ? undefined : this.#writing.get(byteString(cid));
    return written === undefined ? this.#stored(cid) : written.before;
  }

  put(cid: Uint8Array, row: StatusRow | undefined): void {
    this.#changes.set(byteString(cid), { cid, row });
    this.#schedule();
  }

  /** Forgets that piece of the intake, with the rows put before. */
  release(piece: PieceId): void {
    this.#released.push(piece);
    this.#schedule();
  }

  /** Has a group written soon although nothing was put: see `onGroup`. */
  nudge(): void {
    this.#schedule();
  }

  /** Resolves when all that was put is on the disk. Rejects when the storage failed. */
  async settled(): Promise<void> {
    while (this.#failure === undefined && (this.#isWriting || this.#changes.size > 0 || this.#released.length > 0)) {
      if (!this.#isWriting) this.#write();
      await this.#idle;
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** The same for the last time: no group comes after it. */
  async stop(): Promise<void> {
    try {
      await this.settled();
    } finally {
      this.#timer?.cancel();
    }
  }

  listAll(afterCid: Uint8Array | undefined, limit: number): { cid: Uint8Array; row: StatusRow }[] {
    const from = afterCid === undefined ? {} : { from: after(afterCid) };
    const rows: { cid: Uint8Array; row: StatusRow }[] = [];
    for (const { key, value } of this.#needs.storage.read.range(statusTable, { ...from, limit })) {
      const written = this.#writing.get(byteString(key));
      rows.push({ cid: key, row: written?.before ?? this.#decoded(key, value) });
    }
    return rows;
  }

  /** In the order of pin keys. A row is as of the last flush, so it may have come to its status since, or not have it any more. */
  listIndexed(
    statuses: readonly IndexedStatus[],
    afterCid: Uint8Array | undefined,
    limit: number,
  ): { cid: Uint8Array; row: StatusRow | undefined }[] {
    const places = statuses.flatMap((status) => this.#placesWith(status, afterCid, limit));
    places.sort(compareBytes);
    return places.slice(0, limit).map((place) => {
      const { cid } = pinKeyParts(place);
      return { cid, row: this.flushed(cid) };
    });
  }

  /** Flows of which wishes wait in that lane, be they due or not. */
  *dueFlows(lane: DueLane): Generator<number> {
    const to = dueEnd(lane);
    for (let flow = 0; flow < FLOWS; flow++) {
      const [first] = this.#needs.storage.read.range(dueTable, { from: dueBound(lane, flow, 0), to, limit: 1 });
      if (first === undefined) return;
      flow = dueKeyParts(first.key).flow;
      yield flow;
    }
  }

  /** Wishes of that flow whose time has come, oldest first, without those passed over. */
  due(lane: DueLane, flow: number, nowMs: number, { limit, isPassedOver }: DueOptions): Uint8Array[] {
    const range = { from: dueBound(lane, flow, 0), to: dueBound(lane, flow, nowMs + 1) };
    const due: Uint8Array[] = [];
    for (const { key } of this.#needs.storage.read.range(dueTable, range)) {
      const { cid } = dueKeyParts(key);
      if (isPassedOver(cid)) continue;
      due.push(cid);
      if (due.length === limit) break;
    }
    return due;
  }

  /** When the next wish is due after that time; undefined: none waits. */
  nextDueMs(nowMs: number): number | undefined {
    const times = (['pin', 'unpin'] as const).flatMap((lane) =>
      Array.from(this.dueFlows(lane)).flatMap((flow) => {
        const range = {
          from: dueBound(lane, flow, nowMs + 1),
          to: dueBound(lane, flow, Number.MAX_SAFE_INTEGER),
          limit: 1,
        };
        return Array.from(this.#needs.storage.read.range(dueTable, range), ({ key }) => dueKeyParts(key).timeMs);
      }),
    );
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** Pin key prefixes. */
  #placesWith(status: RowStatus, afterCid: Uint8Array | undefined, limit: number): Uint8Array[] {
    const number = statusNumber(status);
    const from = afterCid === undefined ? Uint8Array.of(number) : after(statusPrefixed(status, afterCid));
    const range = { from, to: Uint8Array.of(number + 1), limit };
    return Array.from(this.#needs.storage.read.range(byStatusTable, range), ({ key }) => key.subarray(1));
  }

  #told(cid: Uint8Array): WishStatus {
    const row = this.flushed(cid);
    if (row !== undefined) return wishStatus(cid, row);
    return { cid, status: 'unpinned', sinceMs: 0, attempts: 0, errorClass: undefined, error: '', retryAtMs: 0 };
  }

  #stored(cid: Uint8Array): StatusRow | undefined {
    const value = this.#needs.storage.read.get(statusTable, cid);
    return value === undefined ? undefined : this.#decoded(cid, value);
  }

  /** A damaged row is put anew, as one that waits: when it is written, the wish is taken up like any that is due. */
  #decoded(cid: Uint8Array, value: Uint8Array): StatusRow {
    const row = unlessCorrupt(() => decodeStatusRow(value));
    if (row !== undefined) return row;
    if (!this.isChanging(cid)) {
      this.#needs.logger.warn('a row of the status index is damaged; the IPFS node is asked again', {
        cid: formatCid(cid),
      });
      this.put(cid, lostRow);
    }
    return lostRow;
  }

  #schedule(): void {
    if (this.#isWriting || this.#failure !== undefined) return;
    const nowMs = this.#needs.clock.monotonicMs();
    const mayWait = this.#events.isBusy() && this.#changes.size < GROUP_ROWS_ENOUGH;
    const atMs = Math.max(nowMs + GROUP_DELAY_MS, mayWait ? this.#wroteAtMs + GROUP_INTERVAL_MS : 0);
    if (atMs >= this.#writeAtMs) return;
    this.#timer?.cancel();
    this.#writeAtMs = atMs;
    this.#timer = this.#needs.timers.after(Math.ceil(atMs - nowMs), () => {
      this.#writeAtMs = Number.POSITIVE_INFINITY;
      if (!this.#isWriting) this.#write();
    });
  }

  #write(): void {
    this.#timer?.cancel();
    this.#writeAtMs = Number.POSITIVE_INFINITY;
    this.#wroteAtMs = this.#needs.clock.monotonicMs();
    this.#isWriting = true;
    this.#idle = this.#writeGroup()
      .then(() => {
        this.#isWriting = false;
        if (this.#changes.size > 0 || this.#released.length > 0) this.#schedule();
        this.#events.onFlushed();
      })
      // Also when the store fails just after the flush, under who is told of it.
      .catch((error) => {
        this.#isWriting = false;
        this.#failure = error;
        this.#events.onFailure(error);
      });
  }

  async #writeGroup(): Promise<void> {
    this.#events.onGroup();
    const released = this.#released;
    const written = this.#takeChanges();
    this.#released = [];
    if (written.length === 0 && released.length === 0) return;
    const { storage } = this.#needs;
    const trim = this.feed.oldest();
    const commit = storage.transaction((tx) => {
      for (const change of written) this.#putRow(tx, change);
      for (const piece of released) tx.remove(intakeTable, intakeKey(piece));
      if (written.length > 0) {
        this.feed.append(tx, written, trim);
        this.#putState(tx);
      }
    });
    // Both, as a failed commit rejects both.
    await Promise.all([commit.committed, commit.flushed]);
    this.#writing = new Map();
    this.feed.flushed();
  }

  #takeChanges(): Written[] {
    const written: Written[] = [];
    for (const [key, change] of this.#changes) {
      const before = this.#stored(change.cid);
      if (before === undefined && change.row === undefined) continue;
      const one = { ...change, before };
      written.push(one);
      this.#writing.set(key, one);
    }
    this.#changes = new Map();
    return written;
  }

  #putRow(tx: Transaction, { cid, row, before }: Written): void {
    if (before === lostRow) {
      // Which status it was counted under is lost: that stays one too many.
      for (const status of indexedStatuses) tx.remove(byStatusTable, statusPrefixed(status, cid));
    } else if (before !== undefined) {
      const key = byStatusKey(cid, before);
      if (key !== undefined) tx.remove(byStatusTable, key);
      if (isDueKept(before.status)) tx.remove(dueTable, dueKey(cid, before));
      this.#counts.set(before.status, this.count(before.status) - 1);
    }
    if (row === undefined) {
      tx.remove(statusTable, cid);
      return;
    }
    tx.put(statusTable, cid, encodeStatusRow(row));
    const key = byStatusKey(cid, row);
    if (key !== undefined) tx.put(byStatusTable, key, nothing);
    if (isDueKept(row.status)) tx.put(dueTable, dueKey(cid, row), nothing);
    this.#counts.set(row.status, this.count(row.status) + 1);
  }

  #putState(tx: Transaction): void {
    const counts = rowStatuses.map((status) => BigInt(this.count(status)));
    const state = create(StatusStateSchema, { ...this.feed.state(), counts });
    tx.put(stateTable, statusStateKey, toBinary(StatusStateSchema, state));
  }
}

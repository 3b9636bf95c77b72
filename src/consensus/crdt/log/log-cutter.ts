import type { Timer, Timers } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/logger.ts';
import { mark } from '../../../runtime/mark.ts';
import type { Alerts } from '../alerts.ts';
import {
  LOG_CUT_BYTES_MAX,
  LOG_CUT_PAUSE_MS,
  LOG_CUT_ROWS_MAX,
  LOG_DAMAGED_SHOWN_MS,
  LOG_LOOK_MS,
  LOG_MARKS_PER_BYTES_MAX,
  LOG_MARKS_PER_MIN_AGE,
  LOG_OVERDUE_FACTOR,
} from '../constants.ts';
import { type Clock, covers, joined } from '../core/clocks.ts';
import { clockAt, cut, oldestAbove } from '../core/log-cut.ts';
import type { CrdtMetrics } from '../metrics.ts';
import type { CrdtOptions } from '../options.ts';
import { logKey } from '../state/keys.ts';
import type { Replica } from '../state/replicas.ts';
import type { CrdtStore } from '../state/store.ts';
import { logTable } from '../tables.ts';
import type { LogDamaged } from './kept-batch.ts';
import { LogMarks } from './log-marks.ts';

export interface LogCutterNeeds {
  options: Pick<CrdtOptions, 'logBytesMax' | 'logAgeMaxMs' | 'logAgeMinMs'>;
  store: CrdtStore;
  timers: Timers;
  logger: Logger;
  metrics: Pick<CrdtMetrics, 'logCut'>;
  alerts: Alerts;
  isTrusted(peerId: string): boolean;
  /** Of a shadow that stands: what must not be cut above; and how it is given up (L3). */
  rebuilder: { readonly needsLogAbove: Clock | undefined; giveUp(reason: string): void };
}

const nothing: Clock = new Map();

/** Cuts the log where all who are heard have acknowledged it, or where it is too old or too much (L1 to L3). */
export class LogCutter {
  readonly #needs: LogCutterNeeds;
  readonly #marks: LogMarks;
  /** Up to where the rows of a replica are known to be gone. */
  readonly #cleaned = new Map<Replica, number>();
  #timer: Timer | undefined;
  #running: Promise<void> = Promise.resolve();
  #isStopped = false;
  #bytesAtMark = 0;

  constructor(needs: LogCutterNeeds) {
    this.#needs = needs;
    this.#marks = new LogMarks(needs.store.needs.storage);
    needs.store.onLogDamaged((damage) => this.#damaged(damage));
  }

  start(): void {
    this.#marks.load(this.#needs.store.needs.storage.read);
    this.#bytesAtMark = this.#bytes;
    this.#later(this.#lookMs);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#running;
  }

  /** When the oldest of what is there was taken in, about. Undefined: not known. */
  get oldestMs(): number | undefined {
    return this.#marks.all[0]?.timeMs;
  }

  get #lookMs(): number {
    return Math.min(LOG_LOOK_MS, this.#needs.options.logAgeMinMs / LOG_MARKS_PER_MIN_AGE);
  }

  #later(delayMs: number): void {
    if (this.#isStopped) return;
    this.#timer = this.#needs.timers.after(delayMs, () => {
      this.#running = this.#round();
    });
  }

  async #round(): Promise<void> {
    let isMore = false;
    try {
      this.#mark();
      isMore = this.#raise();
      isMore = (await this.#clean()) || isMore;
    } catch (failure) {
      this.#needs.logger.error('the log could not be cut', { error: String(failure) });
    }
    this.#later(isMore ? LOG_CUT_PAUSE_MS : this.#lookMs);
  }

  get #bytes(): number {
    return this.#needs.store.needs.storage.tableSize(logTable).bytes;
  }

  #mark(): void {
    const { options, store } = this.#needs;
    const nowMs = store.needs.clock.nowMs();
    const bytes = Math.max(0, this.#bytes - this.#bytesAtMark);
    const last = this.#marks.all.at(-1);
    const clock = store.replicas.flushedClock;
    if (last !== undefined && covers(last.clock, clock)) return;
    const isDue =
      bytes >= options.logBytesMax / LOG_MARKS_PER_BYTES_MAX ||
      last === undefined ||
      Math.abs(nowMs - last.timeMs) >= options.logAgeMinMs / LOG_MARKS_PER_MIN_AGE;
    if (!isDue || clock.size === 0) return;
    const entries = store.replicas.sorted().filter(({ flushedSequence }) => flushedSequence > 0);
    const limits = {
      ageMs: Math.max(options.logAgeMinMs, options.logAgeMaxMs / LOG_MARKS_PER_BYTES_MAX),
      bytes: options.logBytesMax / LOG_MARKS_PER_BYTES_MAX,
    };
    this.#marks.take(
      nowMs,
      entries.map(({ rid, flushedSequence: sequence }) => ({ rid, sequence })),
      bytes,
      limits,
    );
    this.#bytesAtMark = this.#bytes;
  }

  /** True: floors rose. In one transaction, before that of the first batches or in the same (L3). */
  #raise(): boolean {
    const { store, rebuilder } = this.#needs;
    const { floors: before } = store.replicas;
    const { floors, discardsShadow } = cut({
      floors: before,
      clock: store.replicas.flushedClock,
      shadow: rebuilder.needsLogAbove,
      acknowledged: this.#acknowledged(),
      ...this.#ages(before),
    });
    if (discardsShadow) {
      mark('crdt log: cut needs the shadow gone');
      rebuilder.giveUp('the own log must be cut above what it has taken in');
      return false; // When it is gone.
    }
    const risen = store.replicas.sorted().filter(({ ridText, floor }) => (floors.get(ridText) ?? 0) > floor);
    if (risen.length === 0) return false;
    store.raiseFloors(risen, floors);
    this.#marks.cut(floors);
    return true;
  }

  /** Nobody can be sent what is damaged: the floor rises above it, so that who lacks it takes the rows (S2), where all of it is done. */
  #damaged({ replica: number, sequence, through, message }: LogDamaged): void {
    const { store, rebuilder, alerts } = this.#needs;
    const replica = store.replicas.byNumber(number);
    // What is not flushed need not be there.
    if (replica === undefined || sequence > replica.flushedSequence || sequence <= replica.floor) return;
    mark('crdt log: damaged');
    const { ridText, peerId } = replica;
    alerts.raise('LOG_DAMAGED', store.needs.peerId, `${message}. Check the disk`, LOG_DAMAGED_SHOWN_MS);
    const end = Math.min(through, replica.flushedSequence);
    this.#needs.logger.error('what is damaged of the log is given up', { author: peerId, sequence, end });
    const shadow = rebuilder.needsLogAbove;
    if (shadow !== undefined && (shadow.get(ridText) ?? 0) < end)
      rebuilder.giveUp('the own log is damaged above what it has taken in');
    const floors = new Map([[ridText, end]]);
    store.raiseFloors([replica], floors);
    this.#marks.cut(store.replicas.floors);
  }

  /** L1: of each holder up to where it will not ask for the log any more. */
  #acknowledged(): Clock[] {
    const { store, isTrusted } = this.#needs;
    const { acks, replicas, needs } = store;
    const holders = acks.holders().filter(({ peerId }) => peerId !== needs.peerId && isTrusted(peerId));
    return holders.map(
      ({ peerId }) => new Map(replicas.sorted().map(({ ridText }) => [ridText, acks.needsAfter(peerId, ridText)])),
    );
  }

  #ages(floors: Clock): { old: Clock; due: Clock; overdue: Clock } {
    const { options, store } = this.#needs;
    const { logAgeMinMs, logAgeMaxMs, logBytesMax } = options;
    const nowMs = store.needs.clock.nowMs();
    const marks = this.#marks.all;
    const beyond = (factor: number) => {
      const isTooMuch = this.#bytes > logBytesMax * factor;
      return joined(clockAt(marks, nowMs - logAgeMaxMs * factor), isTooMuch ? oldestAbove(marks, floors) : nothing);
    };
    return { old: clockAt(marks, nowMs - logAgeMinMs), due: beyond(1), overdue: beyond(LOG_OVERDUE_FACTOR) };
  }

  /** Deletes what lies below the floors, a bounded piece; true: there may be more. */
  async #clean(): Promise<boolean> {
    const { store, metrics } = this.#needs;
    const { storage } = store.needs;
    const keys: Uint8Array[] = [];
    let bytes = 0;
    for (const replica of store.replicas.sorted()) {
      const { number, floor } = replica;
      if ((this.#cleaned.get(replica) ?? 0) >= floor) continue;
      const range = { from: logKey(number, 0), to: logKey(number, floor + 1), limit: LOG_CUT_ROWS_MAX - keys.length };
      for (const { key, value } of storage.read.range(logTable, range)) {
        keys.push(key);
        bytes += value.length;
        if (bytes >= LOG_CUT_BYTES_MAX) break;
      }
      if (keys.length >= LOG_CUT_ROWS_MAX || bytes >= LOG_CUT_BYTES_MAX) break;
      this.#cleaned.set(replica, floor);
    }
    if (keys.length === 0) return false;
    await storage.transaction((tx) => {
      for (const key of keys) tx.remove(logTable, key);
    }).committed;
    metrics.logCut.add(keys.length);
    this.#bytesAtMark = Math.min(this.#bytesAtMark, this.#bytes);
    return true;
  }
}

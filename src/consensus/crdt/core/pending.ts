import { byteString } from '../../../model/bytes.ts';
import { judge, type TakenClock } from './judge.ts';
import type { Batch, IncEntry } from './types.ts';

export interface PendingLimits {
  pendingBytesMax: number;
  pendingAuthorBytesMax: number;
  pendingBatchesMax: number;
  pendingTimeoutMs: number;
}

export interface PendingBatch {
  readonly batch: Batch;
  readonly from: string;
  readonly untilMs: number;
  /** Of its inc, what is known not to be covered: as long as it is not, nothing else need be looked at. */
  waitsFor?: IncEntry;
}

interface Share {
  bytes: number;
  count: number;
  /** Its replicas, those that something came of last at the end. */
  readonly ridTexts: Set<string>;
}

/**
 * Batches that came before what they depend on (R4), in order for each author. Bounded: over a limit the newest of the
 * greediest author goes, and what waited too long goes; anti-entropy brings both back.
 */
export class Pending {
  readonly #limits: PendingLimits;
  /** By replica, in order. */
  readonly #lists = new Map<string, PendingBatch[]>();
  /** What each author has of all: by its peer ID, for it can give itself as many replicas as it likes. */
  readonly #shares = new Map<string, Share>();
  #bytes = 0;
  #count = 0;

  constructor(limits: PendingLimits) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Puts a batch aside and returns how many were dropped for it. */
  add(batch: Batch, from: string, nowMs: number): number {
    const list = this.#lists.get(batch.ridText) ?? [];
    if (list.some((other) => other.batch.head.first === batch.head.first)) return 0;
    const at = list.findIndex((other) => other.batch.head.first > batch.head.first);
    list.splice(at < 0 ? list.length : at, 0, { batch, from, untilMs: nowMs + this.#limits.pendingTimeoutMs });
    this.#lists.set(batch.ridText, list);
    const author = byteString(batch.head.author);
    this.#put(author, batch);
    return this.#shrink(author);
  }

  /** Takes out what may now be applied, and what has become a duplicate or a fork: the caller judges again. */
  takeReady(clock: TakenClock): PendingBatch[] {
    const ready: PendingBatch[] = [];
    for (const [ridText, list] of this.#lists) {
      while (list.length > 0 && !isWaiting(list[0] as PendingBatch, clock)) {
        ready.push(this.#take(ridText, 0));
      }
    }
    return ready;
  }

  /** Drops what has waited too long; how many. */
  expire(nowMs: number): number {
    const before = this.#count;
    for (const [ridText, list] of this.#lists) {
      for (let i = list.length - 1; i >= 0; i--) {
        if ((list[i] as PendingBatch).untilMs <= nowMs) this.#take(ridText, i);
      }
    }
    return before - this.#count;
  }

  /** Drops what others than these wrote; how many. */
  keep(isKept: (author: Uint8Array) => boolean): number {
    const before = this.#count;
    for (const [ridText, list] of this.#lists) {
      const [first] = list;
      if (first === undefined || isKept(first.batch.head.author)) continue;
      for (let i = list.length - 1; i >= 0; i--) this.#take(ridText, i);
    }
    return before - this.#count;
  }

  #shrink(author: string): number {
    const { pendingBytesMax, pendingAuthorBytesMax, pendingBatchesMax } = this.#limits;
    let dropped = 0;
    for (; (this.#shares.get(author)?.bytes ?? 0) > pendingAuthorBytesMax; dropped++) this.#dropNewest(author);
    for (; this.#bytes > pendingBytesMax; dropped++) this.#dropNewest(this.#greediest('bytes'));
    for (; this.#count > pendingBatchesMax; dropped++) this.#dropNewest(this.#greediest('count'));
    return dropped;
  }

  #greediest(of: 'bytes' | 'count'): string {
    let greediest = '';
    let most = -1;
    for (const [author, share] of this.#shares) {
      if (share[of] <= most) continue;
      most = share[of];
      greediest = author;
    }
    return greediest;
  }

  #dropNewest(author: string): void {
    const ridText = [...(this.#shares.get(author) as Share).ridTexts].at(-1) as string;
    this.#take(ridText, -1);
  }

  #put(author: string, batch: Batch): void {
    const share = this.#shares.get(author) ?? { bytes: 0, count: 0, ridTexts: new Set() };
    this.#shares.set(author, share);
    share.ridTexts.delete(batch.ridText);
    share.ridTexts.add(batch.ridText);
    this.#account(share, batch, 1);
  }

  #account(share: Share, batch: Batch, sign: 1 | -1): void {
    const bytes = sign * sizeOf(batch);
    share.bytes += bytes;
    share.count += sign;
    this.#bytes += bytes;
    this.#count += sign;
  }

  #take(ridText: string, at: number): PendingBatch {
    const list = this.#lists.get(ridText) as PendingBatch[];
    const [taken] = list.splice(at, 1) as [PendingBatch];
    const author = byteString(taken.batch.head.author);
    const share = this.#shares.get(author) as Share;
    this.#account(share, taken.batch, -1);
    if (list.length === 0) {
      this.#lists.delete(ridText);
      share.ridTexts.delete(ridText);
    }
    if (share.count === 0) this.#shares.delete(author);
    return taken;
  }
}

/** As `judge` says; but of thousands that wait with long incs, most are known by one entry. */
function isWaiting(pending: PendingBatch, clock: TakenClock): boolean {
  const { batch, waitsFor } = pending;
  const taken = clock.taken(batch.ridText);
  const isMoved = taken !== undefined && (taken.frozen !== '' || taken.sequence >= batch.head.first);
  if (!isMoved && waitsFor !== undefined && !clock.covers(waitsFor)) return true;
  if (judge(clock, batch) !== 'pend') return false;
  const missing = batch.head.inc.find((entry) => !clock.covers(entry));
  if (missing !== undefined) pending.waitsFor = missing;
  return true;
}

function sizeOf({ header, ops }: Batch): number {
  return header.length + ops.length + 256;
}

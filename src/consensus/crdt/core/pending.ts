import { judge, type TakenClock } from './judge.ts';
import type { Batch } from './types.ts';

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
}

/**
 * Batches that came before what they depend on (R4), in order for each author. Bounded: over a limit the newest of the
 * greediest author goes, and what waited too long goes; anti-entropy brings both back.
 */
export class Pending {
  readonly #limits: PendingLimits;
  readonly #authors = new Map<string, PendingBatch[]>();
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
    const list = this.#authors.get(batch.ridText) ?? [];
    if (list.some((other) => other.batch.head.first === batch.head.first)) return 0;
    const at = list.findIndex((other) => other.batch.head.first > batch.head.first);
    list.splice(at < 0 ? list.length : at, 0, { batch, from, untilMs: nowMs + this.#limits.pendingTimeoutMs });
    this.#authors.set(batch.ridText, list);
    this.#bytes += sizeOf(batch);
    this.#count++;
    return this.#shrink(batch.ridText);
  }

  /** Takes out what may now be applied, and what has become a duplicate or a fork: the caller judges again. */
  takeReady(clock: TakenClock): PendingBatch[] {
    const ready: PendingBatch[] = [];
    for (const [ridText, list] of this.#authors) {
      while (list.length > 0 && judge(clock, (list[0] as PendingBatch).batch) !== 'pend') {
        ready.push(this.#take(ridText, 0));
      }
    }
    return ready;
  }

  /** Drops what has waited too long; how many. */
  expire(nowMs: number): number {
    const before = this.#count;
    for (const [ridText, list] of this.#authors) {
      for (let i = list.length - 1; i >= 0; i--) {
        if ((list[i] as PendingBatch).untilMs <= nowMs) this.#take(ridText, i);
      }
    }
    return before - this.#count;
  }

  /** Drops what others than these wrote; how many. */
  keep(isKept: (author: Uint8Array) => boolean): number {
    const before = this.#count;
    for (const [ridText, list] of this.#authors) {
      const [first] = list;
      if (first === undefined || isKept(first.batch.head.author)) continue;
      for (let i = list.length - 1; i >= 0; i--) this.#take(ridText, i);
    }
    return before - this.#count;
  }

  #shrink(ridText: string): number {
    const { pendingBytesMax, pendingAuthorBytesMax, pendingBatchesMax } = this.#limits;
    let dropped = 0;
    while (this.#bytesOf(ridText) > pendingAuthorBytesMax) {
      this.#take(ridText, -1);
      dropped++;
    }
    while (this.#bytes > pendingBytesMax || this.#count > pendingBatchesMax) {
      this.#take(this.#greediest(), -1);
      dropped++;
    }
    return dropped;
  }

  #greediest(): string {
    let greediest = '';
    let most = -1;
    for (const ridText of this.#authors.keys()) {
      const bytes = this.#bytesOf(ridText);
      if (bytes > most) {
        most = bytes;
        greediest = ridText;
      }
    }
    return greediest;
  }

  #bytesOf(ridText: string): number {
    let bytes = 0;
    for (const { batch } of this.#authors.get(ridText) ?? []) bytes += sizeOf(batch);
    return bytes;
  }

  #take(ridText: string, at: number): PendingBatch {
    const list = this.#authors.get(ridText) as PendingBatch[];
    const [taken] = list.splice(at, 1) as [PendingBatch];
    if (list.length === 0) this.#authors.delete(ridText);
    this.#bytes -= sizeOf(taken.batch);
    this.#count--;
    return taken;
  }
}

function sizeOf({ header, ops }: Batch): number {
  return header.length + ops.length + 256;
}

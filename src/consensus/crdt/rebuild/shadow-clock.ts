import { byteString } from '../../../model/bytes.ts';
import type { FullClockEntry } from '../codec/range-head.ts';
import type { Taken, TakenClock } from '../core/judge.ts';
import type { ShadowClocks } from '../core/rebuild.ts';
import type { IncEntry } from '../core/types.ts';
import type { ClockStep, Replica, Replicas } from '../state/replicas.ts';

export interface ShadowEntry {
  readonly replica: Replica;
  /** C'[r], and its hash H'[r]. */
  sequence: number;
  hash: Uint8Array;
  base: number;
  goal: number;
  /** C'[r] as it is on the disk: what may be told (F1). */
  flushedSequence: number;
}

const none = new Uint8Array(0);

/** The clocks of a shadow (B2) in memory: base, C' with H', goal. */
export class ShadowClock implements TakenClock {
  readonly #entries = new Map<string, ShadowEntry>();
  #isBegun = false;

  /** The first range has set base and C'. */
  get isBegun(): boolean {
    return this.#isBegun;
  }

  taken(ridText: string): Taken | undefined {
    const entry = this.#entries.get(ridText);
    return entry === undefined ? undefined : { sequence: entry.sequence, hash: entry.hash, frozen: '' };
  }

  covers({ rid, sequence }: IncEntry): boolean {
    return sequence <= (this.#entries.get(byteString(rid))?.sequence ?? 0);
  }

  entries(): ShadowEntry[] {
    return [...this.#entries.values()];
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Undefined: no range has come yet. */
  get clocks(): ShadowClocks | undefined {
    if (!this.#isBegun) return undefined;
    const of = (what: 'base' | 'sequence' | 'goal') =>
      new Map(this.entries().map((entry) => [entry.replica.ridText, entry[what]]));
    return { base: of('base'), taken: of('sequence'), goal: of('goal') };
  }

  get coversGoal(): boolean {
    return this.#isBegun && this.entries().every(({ sequence, goal }) => sequence >= goal);
  }

  /** B2: `clocks` is what an answer made of them, `e` names and hashes of what it covered. */
  answered(clocks: ShadowClocks, e: Iterable<FullClockEntry>, replicas: Replicas): void {
    for (const { name, hash } of e) {
      const replica = replicas.ensure(name);
      const { ridText } = replica;
      const known = this.#entries.get(ridText);
      this.#entries.set(ridText, {
        replica,
        sequence: clocks.taken.get(ridText) ?? 0,
        hash: this.#isBegun ? (known?.hash ?? none) : hash,
        base: clocks.base.get(ridText) ?? 0,
        goal: clocks.goal.get(ridText) ?? 0,
        flushedSequence: known?.flushedSequence ?? 0,
      });
    }
    this.#isBegun = true;
  }

  /** As it was stored. */
  restored(entries: Iterable<ShadowEntry>): void {
    for (const entry of entries) this.#entries.set(entry.replica.ridText, entry);
    this.#isBegun = true;
  }

  /** C' moves by batches (B3). */
  step({ replica, sequence, hash }: ClockStep): void {
    const entry = this.#entries.get(replica.ridText) ?? { replica, base: 0, goal: 0, flushedSequence: 0 };
    this.#entries.set(replica.ridText, { ...entry, sequence, hash });
  }

  /** What it will be when these steps are taken. */
  after(steps: readonly ClockStep[]): ShadowEntry[] {
    const clock = new ShadowClock();
    clock.restored(this.entries());
    for (const step of steps) clock.step(step);
    return clock.entries();
  }

  flushed(entries: readonly ShadowEntry[]): void {
    for (const { replica, sequence } of entries) {
      const entry = this.#entries.get(replica.ridText);
      if (entry !== undefined) entry.flushedSequence = Math.max(entry.flushedSequence, sequence);
    }
  }
}

import { byteString } from '../../../model/bytes.ts';
import type { Taken, TakenClock } from '../core/judge.ts';
import type { IncEntry } from '../core/types.ts';
import type { ClockStep, Replica } from './replicas.ts';

const none: ReadonlyMap<number, Uint8Array> = new Map();

/** A clock with the steps of a transaction that is not queued yet. */
export class StagedClock implements TakenClock {
  readonly #base: TakenClock;
  readonly #steps = new Map<string, ClockStep>();

  constructor(base: TakenClock) {
    this.#base = base;
  }

  taken(ridText: string): Taken | undefined {
    const step = this.#steps.get(ridText);
    const before = this.#base.taken(ridText);
    if (step === undefined) return before;
    // What is known of its forks stays: a branch that was given up may begin in the middle of a transaction (N4).
    const { isForked = false, settled = none } = before ?? {};
    return { sequence: step.sequence, hash: step.hash, frozen: '', isForked, settled };
  }

  covers(entry: IncEntry): boolean {
    const step = this.#steps.get(byteString(entry.rid));
    return step === undefined ? this.#base.covers(entry) : entry.sequence <= step.sequence;
  }

  coveredBy(replica: Replica): number {
    return this.taken(replica.ridText)?.sequence ?? 0;
  }

  stage(step: ClockStep): void {
    this.#steps.set(step.replica.ridText, step);
  }

  steps(): ClockStep[] {
    return [...this.#steps.values()];
  }
}

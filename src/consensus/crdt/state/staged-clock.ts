import { byteString } from '../../../model/bytes.ts';
import type { Taken, TakenClock } from '../core/judge.ts';
import type { IncEntry } from '../core/types.ts';
import type { ClockStep, Replica } from './replicas.ts';

/** A clock with the steps of a transaction that is not queued yet. */
export class StagedClock implements TakenClock {
  readonly #base: TakenClock;
  readonly #steps = new Map<string, ClockStep>();

  constructor(base: TakenClock) {
    this.#base = base;
  }

  taken(ridText: string): Taken | undefined {
    const step = this.#steps.get(ridText);
    if (step === undefined) return this.#base.taken(ridText);
    return { sequence: step.sequence, hash: step.hash, frozen: '' };
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

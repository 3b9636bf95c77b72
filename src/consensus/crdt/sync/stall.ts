import type { Timer, Timers } from '../../../runtime/clock.ts';

/** A signal that aborts when nothing was made of a call for `stallMs`, or with its parent. */
export class Stall {
  readonly signal: AbortSignal;
  readonly #abort = new AbortController();
  readonly #timers: Timers;
  readonly #stallMs: number;
  #timer: Timer;

  constructor(timers: Timers, stallMs: number, parent: AbortSignal) {
    this.#timers = timers;
    this.#stallMs = stallMs;
    this.signal = AbortSignal.any([parent, this.#abort.signal]);
    this.#timer = this.#begun();
  }

  progressed(): void {
    this.#timer.cancel();
    this.#timer = this.#begun();
  }

  end(): void {
    this.#timer.cancel();
  }

  #begun(): Timer {
    return this.#timers.after(this.#stallMs, () => this.#abort.abort(new Error('it has stalled')));
  }
}

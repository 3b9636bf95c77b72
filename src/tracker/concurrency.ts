import { CONCURRENT_PINS_DECREASE, CONCURRENT_PINS_FLOOR, DECREASE_INTERVAL_MS, SLOW_LATENCY_MS } from './constants.ts';

/**
 * How many pins may be under way: one more after a round of successes, fewer when they take twice as long as they
 * used to (additive increase, multiplicative decrease). How long a pin takes is mostly its size, so both sides are
 * averages, and the floor is never left.
 */
export class Concurrency {
  readonly #floor: number;
  readonly #ceiling: number;
  #limit: number;
  #recentMs = 0;
  #usualMs = 0;
  #decreasedAtMs = Number.NEGATIVE_INFINITY;

  constructor(ceiling: number) {
    this.#ceiling = ceiling;
    this.#floor = Math.min(CONCURRENT_PINS_FLOOR, ceiling);
    this.#limit = ceiling;
  }

  get limit(): number {
    return Math.floor(this.#limit);
  }

  succeeded(latencyMs: number, monotonicMs: number): void {
    if (this.#usualMs === 0) this.#usualMs = this.#recentMs = latencyMs;
    this.#recentMs += (latencyMs - this.#recentMs) / 8;
    this.#usualMs += (latencyMs - this.#usualMs) / 128;
    const isSlow = this.#recentMs > SLOW_LATENCY_MS && this.#recentMs > 2 * this.#usualMs;
    if (!isSlow) this.#limit = Math.min(this.#ceiling, this.#limit + 1 / this.#limit);
    else if (monotonicMs - this.#decreasedAtMs > DECREASE_INTERVAL_MS) {
      this.#limit = Math.max(this.#floor, this.#limit * CONCURRENT_PINS_DECREASE);
      this.#decreasedAtMs = monotonicMs;
    }
  }
}

/** So many at once, then one each `everyMs`. Times are monotonic, ms. */
export class Allowance {
  readonly #burst: number;
  readonly #everyMs: number;
  #left: number;
  #filledMs: number;

  constructor(burst: number, everyMs: number, nowMs: number) {
    this.#burst = burst;
    this.#everyMs = everyMs;
    this.#left = burst;
    this.#filledMs = nowMs;
  }

  /** Whether one more is allowed now; if so it is taken. */
  take(nowMs: number): boolean {
    this.#left = Math.min(this.#burst, this.#left + (nowMs - this.#filledMs) / this.#everyMs);
    this.#filledMs = nowMs;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}

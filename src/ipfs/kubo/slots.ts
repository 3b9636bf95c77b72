import { raceSignal } from '../../runtime/abort.ts';

/** So many at once; who comes later waits for its turn, first come first served. */
export class Slots {
  #free: number;
  readonly #waiting = new Set<PromiseWithResolvers<void>>();

  constructor(count: number) {
    this.#free = count;
  }

  async run<T>(signal: AbortSignal, fn: () => Promise<T>): Promise<T> {
    await this.#take(signal);
    try {
      return await fn();
    } finally {
      this.#release();
    }
  }

  async #take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    const turn = Promise.withResolvers<void>();
    this.#waiting.add(turn);
    try {
      await raceSignal(turn.promise, signal);
    } catch (reason) {
      // The turn may have come in the same moment as the abort: it goes to the next one.
      if (!this.#waiting.delete(turn)) this.#release();
      throw reason;
    }
  }

  #release(): void {
    const next = this.#waiting.values().next().value;
    if (next === undefined) {
      this.#free++;
      return;
    }
    this.#waiting.delete(next);
    next.resolve();
  }
}

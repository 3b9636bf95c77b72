import { raceSignal } from '../runtime/abort.ts';

/** Runs what has one key one after the other, in the order of the calls; other keys go their own way. */
export class Turns {
  readonly #last = new Map<string, Promise<void>>();

  /** Rejects with the signal's reason when it aborts before the turn has come; `fn` is not called then. */
  async run<T>(key: string, signal: AbortSignal, fn: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const before = this.#last.get(key);
    const { promise: over, resolve: end } = Promise.withResolvers<void>();
    const mine = before === undefined ? over : before.then(() => over);
    this.#last.set(key, mine);
    try {
      if (before !== undefined) await raceSignal(before, signal);
      return await fn();
    } finally {
      end();
      if (this.#last.get(key) === mine) this.#last.delete(key);
    }
  }
}

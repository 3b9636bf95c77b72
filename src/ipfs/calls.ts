import { mergeSignals } from '../runtime/abort.ts';
import type { CallOptions } from './connector.ts';

/** The calls of a connector that are under way: every one ends when it stops, and the stop waits for it. */
export class Calls {
  /** Throws while no call may be made. */
  readonly #check: () => void;
  readonly #stopping = new AbortController();
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(check: () => void) {
    this.#check = check;
  }

  /** Aborts when the connector stops. */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  async run<T>(options: CallOptions, fn: (signal: AbortSignal) => Promise<T>): Promise<T> {
    using scope = mergeSignals(options.signal, this.stopping);
    scope.signal.throwIfAborted();
    this.#check();
    const call = fn(scope.signal);
    this.#underWay.add(call);
    try {
      return await call;
    } finally {
      this.#underWay.delete(call);
    }
  }

  async stop(reason: Error): Promise<void> {
    this.#stopping.abort(reason);
    await Promise.allSettled(this.#underWay);
  }
}

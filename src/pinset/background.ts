import { isPinfoldError } from '../model/errors.ts';
import type { Timers } from '../runtime/clock.ts';
import { sleep } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';

type Step = (signal: AbortSignal) => Promise<number | undefined>;

/** Work beside the main work, in small steps. A failing step is reported and ends it until it is begun again. */
export class Background {
  readonly #timers: Timers;
  readonly #logger: Logger;
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();
  #started = false;

  constructor(timers: Timers, logger: Logger) {
    this.#timers = timers;
    this.#logger = logger;
  }

  get started(): boolean {
    return this.#started && !this.#stop.signal.aborted;
  }

  get wasStarted(): boolean {
    return this.#started;
  }

  start(): void {
    this.#started = true;
  }

  /** Calls `step` until it says how long to wait before the next with undefined: done. A long one listens to the signal. */
  run(what: string, step: Step): void {
    if (!this.started) return;
    const running = this.#loop(what, step);
    this.#running.add(running);
    void running.finally(() => this.#running.delete(running));
  }

  /** Resolves when no step is under way. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
  }

  async #loop(what: string, step: Step): Promise<void> {
    const { signal } = this.#stop;
    try {
      // Whoever begins it may be in the middle of a transaction.
      await Promise.resolve();
      for (let pauseMs = await step(signal); pauseMs !== undefined && !signal.aborted; pauseMs = await step(signal)) {
        await sleep(this.#timers, pauseMs, signal);
      }
    } catch (error) {
      if (signal.aborted) return;
      const code = isPinfoldError(error) ? error.code : 'INTERNAL';
      this.#logger.error(`${what} has stopped`, { code, error });
    }
  }
}

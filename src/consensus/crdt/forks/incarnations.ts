import type { Clock, Timer, Timers } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/logger.ts';
import { INCARNATION_INTERVAL_MS } from '../constants.ts';
import type { CrdtStore } from '../state/store.ts';

export interface IncarnationsNeeds {
  store: CrdtStore;
  clock: Clock;
  timers: Timers;
  logger: Logger;
  /** A new one was made that had to wait. */
  onLate(): void;
}

/** N2 while the peer runs: at most one new incarnation in ten minutes by itself, for each stays in every clock for ever. */
export class Incarnations {
  readonly #needs: IncarnationsNeeds;
  #madeMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;

  constructor(needs: IncarnationsNeeds) {
    this.#needs = needs;
  }

  /** The current one must not be written under, and the next must wait: writes wait with it. */
  get isWaiting(): boolean {
    return this.#timer !== undefined;
  }

  /** True: there is a new one now. False: it comes when the ten minutes are over. */
  renew(reason: string): boolean {
    const nowMs = this.#needs.clock.monotonicMs();
    const waitMs = this.#madeMs + INCARNATION_INTERVAL_MS - nowMs;
    if (waitMs > 0) {
      this.#timer ??= this.#needs.timers.after(waitMs, () => this.#late(reason));
      return false;
    }
    this.now(reason);
    return true;
  }

  /** Without waiting: an operator says so. */
  now(reason: string): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#madeMs = this.#needs.clock.monotonicMs();
    this.#needs.store.newIncarnation();
    this.#needs.logger.warn('going on as a new incarnation', { reason });
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #late(reason: string): void {
    this.now(reason);
    this.#needs.onLate();
  }
}

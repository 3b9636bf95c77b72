import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { CLOCK_JUMP_MS, FORGET_GRACE_MS } from './constants.ts';

/** Whether the wall clock can be believed for as long as members are remembered by it: not soon after a start or a jump. */
export class WallClockWatch {
  readonly #clock: Clock;
  readonly #logger: Logger;
  #offsetMs: number;
  #trustedFromMs: number;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
    this.#offsetMs = clock.nowMs() - clock.monotonicMs();
    this.#trustedFromMs = clock.monotonicMs() + FORGET_GRACE_MS;
  }

  /** Called often. A clock that jumped says nothing about how long members were silent. */
  isSteady(): boolean {
    const monotonicMs = this.#clock.monotonicMs();
    const offsetMs = this.#clock.nowMs() - monotonicMs;
    if (Math.abs(offsetMs - this.#offsetMs) > CLOCK_JUMP_MS) {
      this.#logger.warn('the wall clock jumped', { byMs: Math.round(offsetMs - this.#offsetMs) });
      this.#trustedFromMs = monotonicMs + FORGET_GRACE_MS;
    }
    this.#offsetMs = offsetMs;
    return monotonicMs >= this.#trustedFromMs;
  }
}

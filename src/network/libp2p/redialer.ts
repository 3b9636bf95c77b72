import type { Clock, Timer, Timers } from '../../runtime/clock.ts';
import { jittered } from '../../runtime/clock.ts';
import type { Random } from '../../runtime/random.ts';
import { PEERS_WANTED, REDIAL_FIRST_MS, REDIAL_JITTER, REDIAL_LAST_MS, REDIALS_PARALLEL_MAX } from '../constants.ts';

export interface RedialerNeeds {
  /** What should be connected: keys of any form that `dial` and `isConnected` understand. */
  targets(): Iterable<string>;
  isConnected(target: string): boolean;
  connectedCount(): number;
  /** Rejects when there was no connection. */
  dial(target: string): Promise<void>;
  clock: Clock;
  timers: Timers;
  random: Random;
}

interface Attempts {
  failed: number;
  nextAtMs: number;
}

/**
 * Dials peers that are known and not connected, each with its own growing, jittered wait, for as long as the
 * network runs: a bootstrap peer may come up last.
 */
export class Redialer {
  readonly #needs: RedialerNeeds;
  readonly #attempts = new Map<string, Attempts>();
  readonly #dialling = new Set<string>();
  #timer: Timer | undefined;
  #stopped = false;

  constructor(needs: RedialerNeeds) {
    this.#needs = needs;
  }

  start(): void {
    this.#round();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** Forgets past failures of a target, because something new is known of it. */
  retrySoon(target: string): void {
    this.#attempts.delete(target);
  }

  #round(): void {
    if (this.#stopped) return;
    for (const target of this.#due()) void this.#dial(target);
    this.#timer = this.#needs.timers.after(jittered(this.#needs.random, REDIAL_FIRST_MS, REDIAL_JITTER), () =>
      this.#round(),
    );
  }

  #due(): string[] {
    const nowMs = this.#needs.clock.monotonicMs();
    const due: string[] = [];
    const wanted = PEERS_WANTED - this.#needs.connectedCount();
    const places = Math.min(wanted, REDIALS_PARALLEL_MAX) - this.#dialling.size;
    for (const target of this.#needs.targets()) {
      if (due.length >= places) break;
      if (this.#dialling.has(target)) continue;
      if (this.#needs.isConnected(target)) this.#attempts.delete(target);
      else if ((this.#attempts.get(target)?.nextAtMs ?? 0) <= nowMs) due.push(target);
    }
    return due;
  }

  async #dial(target: string): Promise<void> {
    this.#dialling.add(target);
    try {
      await this.#needs.dial(target);
      this.#attempts.delete(target);
    } catch {
      // Which peers are away is told by who is connected; a line for every attempt would drown the rest.
      this.#attempts.set(target, this.#afterFailure(this.#attempts.get(target)?.failed ?? 0));
    } finally {
      this.#dialling.delete(target);
    }
  }

  #afterFailure(failedBefore: number): Attempts {
    const waitMs = Math.min(REDIAL_FIRST_MS * 2 ** failedBefore, REDIAL_LAST_MS);
    return {
      failed: failedBefore + 1,
      nextAtMs: this.#needs.clock.monotonicMs() + jittered(this.#needs.random, waitMs, REDIAL_JITTER),
    };
  }
}

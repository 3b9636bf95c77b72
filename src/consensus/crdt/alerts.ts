import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { ConsensusAlert } from '../consensus.ts';
import { ALERT_SHOWN_MS, ALERTS_MAX } from './constants.ts';

interface Raised extends ConsensusAlert {
  /** Wall clock; Infinity: until it is cleared. */
  readonly untilMs: number;
}

/** What an operator must know. One alert a kind and peer; raised again it only updates the message. */
export class Alerts {
  readonly #alerts = new Map<string, Raised>();
  readonly #clock: Clock;
  readonly #logger: Logger;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Stands until it is cleared, or for so long after it was raised last. */
  raise(kind: ConsensusAlert['kind'], peerId: string, message: string, forMs = Number.POSITIVE_INFINITY): void {
    this.#expire();
    const known = this.#alerts.get(`${kind} ${peerId}`);
    if (known === undefined && this.#alerts.size >= ALERTS_MAX) {
      this.#logger.debug('an alert beyond the limit', { kind, peerId, message });
      return;
    }
    if (known === undefined) this.#logger.warn('alert raised', { kind, peerId, message });
    if (known?.untilMs === Number.POSITIVE_INFINITY && forMs < known.untilMs) return; // What lasts says more.
    const nowMs = this.#clock.nowMs();
    const sinceMs = known?.sinceMs ?? nowMs;
    this.#alerts.set(`${kind} ${peerId}`, { kind, peerId, message, sinceMs, untilMs: nowMs + forMs });
  }

  clear(kind: ConsensusAlert['kind'], peerId: string): void {
    if (this.#alerts.delete(`${kind} ${peerId}`)) this.#logger.info('alert cleared', { kind, peerId });
  }

  /** It has healed by itself: the alert says so, and is shown for a minute at least, so that somebody sees it. */
  healed(kind: ConsensusAlert['kind'], peerId: string, message: string): void {
    this.#expire();
    const known = this.#alerts.get(`${kind} ${peerId}`);
    if (known === undefined || known.untilMs !== Number.POSITIVE_INFINITY) return;
    const untilMs = Math.max(this.#clock.nowMs(), known.sinceMs + ALERT_SHOWN_MS);
    this.#alerts.set(`${kind} ${peerId}`, { ...known, message, untilMs });
    this.#logger.info('what an alert was raised for has healed', { kind, peerId, message });
  }

  all(): ConsensusAlert[] {
    this.#expire();
    return [...this.#alerts.values()].map(({ untilMs: _, ...alert }) => alert);
  }

  #expire(): void {
    const nowMs = this.#clock.nowMs();
    for (const { kind, peerId, untilMs } of [...this.#alerts.values()]) if (untilMs <= nowMs) this.clear(kind, peerId);
  }
}

import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { ConsensusAlert } from '../consensus.ts';

/** What an operator must know. One alert a kind and peer; raised again it only updates the message. */
export class Alerts {
  readonly #alerts = new Map<string, ConsensusAlert>();
  readonly #clock: Clock;
  readonly #logger: Logger;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  raise(kind: ConsensusAlert['kind'], peerId: string, message: string): void {
    const known = this.#alerts.get(`${kind} ${peerId}`);
    if (known === undefined) this.#logger.warn('alert raised', { kind, peerId, message });
    this.#alerts.set(`${kind} ${peerId}`, { kind, peerId, message, sinceMs: known?.sinceMs ?? this.#clock.nowMs() });
  }

  clear(kind: ConsensusAlert['kind'], peerId: string): void {
    if (this.#alerts.delete(`${kind} ${peerId}`)) this.#logger.info('alert cleared', { kind, peerId });
  }

  all(): ConsensusAlert[] {
    return [...this.#alerts.values()];
  }
}

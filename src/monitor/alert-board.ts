import type { Clock } from '../runtime/clock.ts';
import { ALERT_MESSAGE_LENGTH_MAX, ALERTS_MAX } from './constants.ts';
import type { Alert } from './monitor.ts';

/** Alerts that stand, one for each kind and peer, oldest first. */
export class AlertBoard {
  readonly #clock: Clock;
  readonly #alerts = new Map<string, Alert>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  list(): Alert[] {
    return [...this.#alerts.values()];
  }

  get size(): number {
    return this.#alerts.size;
  }

  /** The alert as it stands now; undefined when it already stood so; 'full' when it cannot be listed. */
  raise({ kind, peerId, message: text }: Omit<Alert, 'sinceMs'>): Alert | undefined | 'full' {
    const key = keyOf(kind, peerId);
    const known = this.#alerts.get(key);
    const message = text.slice(0, ALERT_MESSAGE_LENGTH_MAX);
    if (known?.message === message) return undefined;
    if (known === undefined && this.#alerts.size >= ALERTS_MAX) return 'full';
    const alert = { kind, peerId, message, sinceMs: known?.sinceMs ?? this.#clock.nowMs() };
    this.#alerts.set(key, alert);
    return alert;
  }

  /** The alert that stood. */
  clear(kind: string, peerId: string): Alert | undefined {
    const key = keyOf(kind, peerId);
    const alert = this.#alerts.get(key);
    this.#alerts.delete(key);
    return alert;
  }
}

function keyOf(kind: string, peerId: string): string {
  return `${kind} ${peerId}`;
}

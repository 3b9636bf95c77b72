import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { ALERT_MESSAGE_LENGTH_MAX, ALERTS_MAX } from './constants.ts';
import type { Alert } from './monitor.ts';

export interface AlertBoardNeeds {
  clock: Clock;
  logger: Logger;
  /** An alert stands, with a new message maybe, or stands no more. */
  onChange(alert: Alert, raised: boolean): void;
  /** One cannot be listed: there are too many. */
  onFull(): void;
}

/** Alerts that stand, one for each kind and peer, oldest first. */
export class AlertBoard {
  readonly #needs: AlertBoardNeeds;
  readonly #alerts = new Map<string, Alert>();

  constructor(needs: AlertBoardNeeds) {
    this.#needs = needs;
  }

  list(): Alert[] {
    return [...this.#alerts.values()];
  }

  /** Nothing happens when it already stands so. */
  raise({ kind, peerId, message: text }: Omit<Alert, 'sinceMs'>): void {
    const { clock, logger, onChange, onFull } = this.#needs;
    const key = keyOf(kind, peerId);
    const known = this.#alerts.get(key);
    const message = text.slice(0, ALERT_MESSAGE_LENGTH_MAX);
    if (known?.message === message) return;
    if (known === undefined && this.#alerts.size >= ALERTS_MAX) {
      onFull();
      logger.warn('an alert is not listed: there are too many', { kind, peerId });
      return;
    }
    const alert = { kind, peerId, message, sinceMs: known?.sinceMs ?? clock.nowMs() };
    this.#alerts.set(key, alert);
    logger.warn('alert raised', { ...alert });
    onChange(alert, true);
  }

  clear(kind: string, peerId: string): void {
    const key = keyOf(kind, peerId);
    const alert = this.#alerts.get(key);
    if (alert === undefined) return;
    this.#alerts.delete(key);
    this.#needs.logger.info('alert cleared', { kind, peerId });
    this.#needs.onChange(alert, false);
  }
}

function keyOf(kind: string, peerId: string): string {
  return `${kind} ${peerId}`;
}

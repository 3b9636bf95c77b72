import type { Consensus } from '../consensus/consensus.ts';
import { PinfoldError } from '../model/errors.ts';
import type { Alert, Monitor } from '../monitor/monitor.ts';
import { raceSignal } from '../runtime/abort.ts';
import type { Timer, Timers } from '../runtime/clock.ts';
import type { Component } from '../runtime/lifecycle.ts';
import type { MetricsRegister } from '../runtime/metrics.ts';
import { ALERT_CHANGES_PER_MESSAGE, ALERT_LOOK_INTERVAL_MS, ALERT_WATCHES_MAX } from './constants.ts';

/** The alerts of this peer: those of the monitor, which others raise there, and those of the consensus. */
export interface Alerts extends Component {
  list(): Alert[];
  /**
   * What stands, then every change; what came and went while the reader took nothing may be left out. Throws LIMIT_REACHED; ends with
   * the signal's reason.
   */
  watch(options: { signal: AbortSignal }): AsyncIterable<AlertsMessage>;
}

export interface AlertsMessage {
  changes: AlertChange[];
  /** Once: what stood when the watch began has been told. */
  caughtUp: boolean;
}

export interface AlertChange {
  alert: Alert;
  /** It stands, with a new message maybe; else it stands no more. */
  raised: boolean;
}

export interface AlertsNeeds {
  monitor: Pick<Monitor, 'alerts' | 'onChange'>;
  consensus: Pick<Consensus, 'status'>;
  timers: Timers;
  metrics: MetricsRegister;
}

export function alerts(needs: AlertsNeeds): Alerts {
  const { monitor, consensus, timers } = needs;
  const list = (): Alert[] => [...monitor.alerts(), ...consensus.status().alerts];
  const counters = alertMetrics(needs.metrics, list, () => watches);
  const counted = new AlertDifference();
  let changed = Promise.withResolvers<void>();
  let watches = 0;
  let timer: Timer | undefined;
  let stopListening = () => {};

  function look(): void {
    const changes = counted.next(list());
    for (const { alert, raised, isNew } of changes) {
      if (!raised) counters.cleared.add(1, { kind: alert.kind });
      else if (isNew) counters.raised.add(1, { kind: alert.kind });
    }
    if (changes.length === 0) return;
    changed.resolve();
    changed = Promise.withResolvers();
  }

  // Of alerts of the consensus nobody is told, and some end by the clock.
  function lookNowAndThen(): void {
    look();
    timer = timers.after(ALERT_LOOK_INTERVAL_MS, lookNowAndThen);
  }

  return {
    name: 'alerts',
    async start() {
      stopListening = monitor.onChange(({ kind }) => {
        if (kind === 'alert') look();
      });
      lookNowAndThen();
    },
    async stop() {
      stopListening();
      timer?.cancel();
    },
    list,
    async *watch({ signal }) {
      if (watches >= ALERT_WATCHES_MAX) {
        throw new PinfoldError(
          'LIMIT_REACHED',
          `${ALERT_WATCHES_MAX} watches of alerts are open on this peer; ask another one`,
        );
      }
      watches++;
      try {
        const told = new AlertDifference();
        for (let first = true; ; first = false) {
          const next = changed.promise;
          const changes = told.next(list());
          for (let i = 0; i < changes.length || (first && i === 0); i += ALERT_CHANGES_PER_MESSAGE) {
            const some = changes
              .slice(i, i + ALERT_CHANGES_PER_MESSAGE)
              .map(({ alert, raised }) => ({ alert, raised }));
            yield { changes: some, caughtUp: first && i + ALERT_CHANGES_PER_MESSAGE >= changes.length };
          }
          await raceSignal(next, signal);
        }
      } finally {
        watches--;
      }
    },
  };
}

/** How the alerts differ from those before. */
class AlertDifference {
  #known = new Map<string, Alert>();

  next(alerts: readonly Alert[]): (AlertChange & { isNew: boolean })[] {
    const now = new Map(alerts.map((alert) => [`${alert.kind} ${alert.peerId}`, alert]));
    const before = this.#known;
    this.#known = now;
    const cleared = [...before].filter(([key]) => !now.has(key));
    const raised = [...now].filter(([key, { message }]) => before.get(key)?.message !== message);
    return [
      ...cleared.map(([, alert]) => ({ alert, raised: false, isNew: false })),
      ...raised.map(([key, alert]) => ({ alert, raised: true, isNew: !before.has(key) })),
    ];
  }
}

function alertMetrics(register: MetricsRegister, list: () => Alert[], watches: () => number) {
  const kinds = new Set<string>();
  register.gauge({ name: 'pinfold_alerts', help: 'Alerts that stand, by kind.', labels: ['kind'] }, (gauge) => {
    const counts = new Map([...kinds].map((kind) => [kind, 0]));
    for (const { kind } of list()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    for (const [kind, count] of counts) {
      kinds.add(kind);
      gauge.set(count, { kind });
    }
  });
  register.gauge({ name: 'pinfold_alert_watches', help: 'Watches of alerts that are open.' }, (gauge) =>
    gauge.set(watches()),
  );
  return {
    raised: register.counter({
      name: 'pinfold_alerts_raised_total',
      help: 'Alerts that came to stand, by kind; looked at once a second.',
      labels: ['kind'],
    }),
    cleared: register.counter({
      name: 'pinfold_alerts_cleared_total',
      help: 'Alerts that stood and stand no more, by kind.',
      labels: ['kind'],
    }),
  };
}

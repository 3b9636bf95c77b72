import type { Counter, Gauge, Histogram, MetricsRegister } from '../runtime/metrics.ts';
import type { RowStatus } from './status-row.ts';
import { rowStatuses } from './status-row.ts';

export interface TrackerMetrics {
  /** outcome: done, failed, aborted. */
  attempts: Counter<'action' | 'outcome'>;
  errors: Counter<'class'>;
  latency: Histogram<'action'>;
  nodeUp: Gauge;
  audited: Counter;
  vanished: Counter;
  foreign: Gauge;
}

/** What is read at each scrape. */
export interface TrackerState {
  count(status: RowStatus): number;
  queued(): number;
  underWay(): number;
  concurrency(): number;
}

export function trackerMetrics(register: MetricsRegister, state: TrackerState): TrackerMetrics {
  register.gauge(
    { name: 'pinfold_tracker_statuses', help: 'Status rows by status.', labels: ['status'] },
    (gauge: Gauge<'status'>) => {
      for (const status of rowStatuses) gauge.set(state.count(status), { status });
    },
  );
  register.gauge(
    { name: 'pinfold_tracker_queued', help: 'Pins that wait for a first or next attempt, errors left out.' },
    (gauge) => gauge.set(state.queued(), {}),
  );
  register.gauge({ name: 'pinfold_tracker_under_way', help: 'Pins and unpins under way.' }, (gauge) =>
    gauge.set(state.underWay(), {}),
  );
  register.gauge(
    { name: 'pinfold_tracker_concurrency_limit', help: 'Pins that may be under way at once at present.' },
    (gauge) => gauge.set(state.concurrency(), {}),
  );
  return {
    attempts: register.counter({
      name: 'pinfold_tracker_attempts_total',
      help: 'Attempts to pin and unpin that ended.',
      labels: ['action', 'outcome'],
    }),
    errors: register.counter({
      name: 'pinfold_tracker_errors_total',
      help: 'Failed attempts by class.',
      labels: ['class'],
    }),
    latency: register.histogram({
      name: 'pinfold_tracker_attempt_seconds',
      help: 'How long attempts took that succeeded.',
      labels: ['action'],
      buckets: [0.001, 0.01, 0.1, 1, 10, 60, 600, 3600],
    }),
    nodeUp: register.gauge({ name: 'pinfold_tracker_node_up', help: '1: the IPFS node answers.' }),
    audited: register.counter({ name: 'pinfold_tracker_audited_total', help: 'Pinned rows that the audit compared.' }),
    vanished: register.counter({
      name: 'pinfold_tracker_vanished_total',
      help: 'Pins that the node had lost without our doing.',
    }),
    foreign: register.gauge({
      name: 'pinfold_tracker_foreign_pins',
      help: 'Pins of the node that are not of the pinset, as of the last audit. They are left alone.',
    }),
  };
}

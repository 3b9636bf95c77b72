import type { Counter, MetricsRegister } from '../runtime/metrics.ts';
import type { Health } from './monitor.ts';

export interface MonitorMetrics {
  /** By `kind` (record, metrics, forgotten) and `verdict` (accept, ignore, reject). */
  received: Counter<'kind' | 'verdict'>;
  /** What was left out at a limit: members, alerts, rate. */
  limited: Counter<'limit'>;
  published: Counter<'kind'>;
  informerFailures: Counter<'informer'>;
}

export function monitorMetrics(
  register: MetricsRegister,
  now: { health: () => Record<Health, number>; forgotten: () => number },
): MonitorMetrics {
  register.gauge(
    { name: 'pinfold_members', help: 'Members by health, this peer included', labels: ['health'] },
    (gauge) => {
      for (const [health, count] of Object.entries(now.health())) gauge.set(count, { health });
    },
  );
  register.gauge({ name: 'pinfold_members_forgotten', help: 'Removed members that are remembered as such' }, (gauge) =>
    gauge.set(now.forgotten()),
  );
  return {
    received: register.counter({
      name: 'pinfold_monitor_received_total',
      help: 'Records and metrics of other peers, by verdict',
      labels: ['kind', 'verdict'],
    }),
    limited: register.counter({
      name: 'pinfold_monitor_limited_total',
      help: 'Records, metrics and alerts left out at a limit',
      labels: ['limit'],
    }),
    published: register.counter({
      name: 'pinfold_monitor_published_total',
      help: 'Own records and metrics gossiped',
      labels: ['kind'],
    }),
    informerFailures: register.counter({
      name: 'pinfold_informer_failures_total',
      help: 'Readings that failed or took too long',
      labels: ['informer'],
    }),
  };
}

import * as client from 'prom-client';
import type { MetricSpec, MetricsRegister } from './metrics.ts';

/** Metrics that can be scraped. Also has those of the process itself (`process_*`, `nodejs_*`). */
export interface PrometheusMetrics extends MetricsRegister {
  readonly contentType: string;
  /** All metrics in Prometheus' text form. */
  expose(): Promise<string>;
}

const nameForm = /^pinfold_[a-z0-9_]+$/;

/** Each call has a register of its own, so that several peers can live in one process. */
export function prometheusMetrics(options: { processMetrics?: boolean } = {}): PrometheusMetrics {
  const register = new client.Registry();
  if (options.processMetrics !== false) client.collectDefaultMetrics({ register });
  return {
    contentType: register.contentType,
    expose: () => register.metrics(),
    counter(spec) {
      const counter = new client.Counter(common(register, spec));
      return { add: (amount, labels) => counter.inc(labels ?? {}, amount) };
    },
    gauge(spec, collect) {
      const inner = new client.Gauge({
        ...common(register, spec),
        ...(collect === undefined ? {} : { collect: () => collect(gauge) }),
      });
      const gauge = { set: (value: number, labels?: Record<string, string>) => inner.set(labels ?? {}, value) };
      return gauge;
    },
    histogram(spec) {
      const histogram = new client.Histogram({ ...common(register, spec), buckets: [...spec.buckets] });
      return { observe: (value, labels) => histogram.observe(labels ?? {}, value) };
    },
  };
}

function common<L extends string>(register: client.Registry, { name, help, labels = [] }: MetricSpec<L>) {
  if (!nameForm.test(name)) throw new Error(`the metric ${name} must be named like pinfold_x`);
  return { name, help, labelNames: [...labels] as string[], registers: [register] };
}

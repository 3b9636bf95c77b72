import type { MetricsRegister } from '../../../src/runtime/metrics.ts';

/** Metrics of one process, to be looked at by checkers. */
export class SimMetrics {
  readonly counters = new Map<string, number>();
  readonly #gauges = new Map<string, () => void>();
  readonly #values = new Map<string, number>();

  readonly register: MetricsRegister = {
    counter: (spec) => ({
      add: (amount, labels) => {
        const name = labelled(spec.name, labels);
        this.counters.set(name, (this.counters.get(name) ?? 0) + amount);
      },
    }),
    gauge: (spec, collect) => {
      const gauge = {
        set: (value: number, labels?: Record<string, string>) => {
          this.#values.set(labelled(spec.name, labels), value);
        },
      };
      if (collect !== undefined) this.#gauges.set(spec.name, () => collect(gauge));
      return gauge;
    },
    histogram: () => ({ observe() {} }),
  };

  /** As a scrape would show it. */
  gauge(name: string): number | undefined {
    this.#gauges.get(name)?.();
    return this.#values.get(name);
  }
}

function labelled(name: string, labels: Record<string, string> | undefined): string {
  return labels === undefined ? name : `${name}{${Object.values(labels).join(',')}}`;
}

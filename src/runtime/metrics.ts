/**
 * Where components register their metrics. Each component has a `metrics.ts` of its own with a factory
 * `xMetrics(register)`; names begin with `pinfold_`, units are base units and end the name (`_seconds`, `_bytes`, `_total`).
 */
export interface MetricsRegister {
  counter<L extends string = never>(spec: MetricSpec<L>): Counter<L>;
  /** `collect` is called at each scrape, to set what is cheaper to read than to keep. */
  gauge<L extends string = never>(spec: MetricSpec<L>, collect?: (gauge: Gauge<L>) => void): Gauge<L>;
  histogram<L extends string = never>(spec: MetricSpec<L> & { buckets: readonly number[] }): Histogram<L>;
}

export interface MetricSpec<L extends string> {
  name: string;
  help: string;
  labels?: readonly L[];
}

type Labels<L extends string> = [L] extends [never] ? Record<string, never> : Record<L, string>;

export interface Counter<L extends string = never> {
  add(amount: number, labels?: Labels<L>): void;
}

export interface Gauge<L extends string = never> {
  set(value: number, labels?: Labels<L>): void;
}

export interface Histogram<L extends string = never> {
  observe(value: number, labels?: Labels<L>): void;
}

/** Registers nothing and counts nothing. */
export const noMetrics: MetricsRegister = {
  counter: () => ({ add() {} }),
  gauge: () => ({ set() {} }),
  histogram: () => ({ observe() {} }),
};

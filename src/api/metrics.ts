import type { MetricsRegister } from '../runtime/metrics.ts';

export interface ApiMetrics {
  /** A call has ended, with OK or a code of the error registry. */
  called(method: string, code: string): void;
}

export function apiMetrics(register: MetricsRegister): ApiMetrics {
  const calls = register.counter({
    name: 'pinfold_api_calls_total',
    help: 'Calls answered at the client doors, by method and by OK or the error code',
    labels: ['method', 'code'],
  });
  return { called: (method, code) => calls.add(1, { method, code }) };
}

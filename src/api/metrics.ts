import type { MetricsRegister } from '../runtime/metrics.ts';

export interface ApiMetrics {
  /** A call has ended, with OK or a code of the error registry. */
  called(method: string, code: string): void;
  /** A request came to no handler. `why` is a status of the transport: few values. */
  refused(door: 'http', why: string): void;
}

export function apiMetrics(register: MetricsRegister): ApiMetrics {
  const calls = register.counter({
    name: 'pinfold_api_calls_total',
    help: 'Calls answered at the client doors, by method and by OK or the error code',
    labels: ['method', 'code'],
  });
  const refusals = register.counter({
    name: 'pinfold_api_refused_total',
    help: 'Requests that came to no handler (malformed, foreign name, no such method), by door and status',
    labels: ['door', 'status'],
  });
  return {
    called: (method, code) => calls.add(1, { method, code }),
    refused: (door, status) => refusals.add(1, { door, status }),
  };
}

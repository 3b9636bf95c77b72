import type { Counter, MetricsRegister } from '../../runtime/metrics.ts';

export interface ReallocationMetrics {
  added: Counter;
  dropped: Counter;
}

export function reallocationMetrics(register: MetricsRegister, left: () => number): ReallocationMetrics {
  register.gauge(
    {
      name: 'pinfold_reallocation_left_pins',
      help: 'Pins that do not lie yet where they should, at the last look at all pins',
    },
    (gauge) => gauge.set(left()),
  );
  return {
    added: register.counter({
      name: 'pinfold_reallocation_added_total',
      help: 'Allocations that this peer added to pins which lay on too few peers',
    }),
    dropped: register.counter({
      name: 'pinfold_reallocation_dropped_total',
      help: 'Allocations that this peer took away from pins once there were copies enough elsewhere',
    }),
  };
}

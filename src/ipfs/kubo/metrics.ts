import type { Counter, Histogram, MetricsRegister } from '../../runtime/metrics.ts';
import { nodeStateNames } from '../node-state.ts';
import type { Condition } from './condition.ts';

export interface KuboMetrics {
  calls: Counter<'command' | 'outcome'>;
  callSeconds: Histogram<'command'>;
}

export function kuboMetrics(register: MetricsRegister, condition: Condition): KuboMetrics {
  register.gauge(
    {
      name: 'pinfold_ipfs_node_state',
      help: `How the IPFS node is: 1 for the state that it is in, of ${nodeStateNames.join(', ')}.`,
      labels: ['state'],
    },
    (gauge) => {
      for (const state of nodeStateNames) gauge.set(condition.current.name === state ? 1 : 0, { state });
    },
  );
  return {
    calls: register.counter({
      name: 'pinfold_ipfs_rpc_calls_total',
      help: 'Calls of the RPC of Kubo, by command and outcome: ok, refused, absent, unauthorized, foreign, garbled, ended (by us).',
      labels: ['command', 'outcome'],
    }),
    callSeconds: register.histogram({
      name: 'pinfold_ipfs_rpc_call_seconds',
      help: 'How long calls of the RPC of Kubo took, to the end of the answer.',
      labels: ['command'],
      buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600],
    }),
  };
}

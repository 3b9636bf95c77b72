import type { Counter, Gauge, Histogram, MetricsRegister } from '../runtime/metrics.ts';

export interface NetworkMetrics {
  /** Handshakes that ended because the other side has another secret, or is no peer at all. */
  handshakesRefused: Counter<'direction'>;
  connectedPeers: Gauge;
  rpcCalls: Counter<'method' | 'side' | 'code'>;
  rpcAnswerSeconds: Histogram<'method'>;
  /** What was not served: malformed, truncated, oversized, silent, slow_reader, permission, limit, unknown_method. */
  rpcRefused: Counter<'reason'>;
  rpcServing: Gauge<'method'>;
  gossipMessages: Counter<'topic' | 'outcome'>;
}

export function networkMetrics(register: MetricsRegister): NetworkMetrics {
  return {
    handshakesRefused: register.counter({
      name: 'pinfold_network_handshakes_refused_total',
      help: 'Handshakes that failed, mostly because the other side has another secret.',
      labels: ['direction'],
    }),
    connectedPeers: register.gauge({ name: 'pinfold_network_connected_peers', help: 'Peers connected now.' }),
    rpcCalls: register.counter({
      name: 'pinfold_rpc_calls_total',
      help: 'Calls between peers that ended, by side (caller, callee) and error code (OK if none).',
      labels: ['method', 'side', 'code'],
    }),
    rpcAnswerSeconds: register.histogram({
      name: 'pinfold_rpc_answer_seconds',
      help: 'How long other peers took to the first message of their answer, or to its end.',
      labels: ['method'],
      buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60],
    }),
    rpcRefused: register.counter({
      name: 'pinfold_rpc_refused_total',
      help: 'Streams and calls between peers that were refused or reset, by reason.',
      labels: ['reason'],
    }),
    rpcServing: register.gauge({
      name: 'pinfold_rpc_serving',
      help: 'Calls of other peers being served now.',
      labels: ['method'],
    }),
    gossipMessages: register.counter({
      name: 'pinfold_gossip_messages_total',
      help: 'Gossip messages by outcome: published, failed, accept, ignore, reject.',
      labels: ['topic', 'outcome'],
    }),
  };
}

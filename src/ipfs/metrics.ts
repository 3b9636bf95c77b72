import type { Counter, MetricsRegister } from '../runtime/metrics.ts';

export interface IpfsMetrics {
  /** use: wanted, unwanted (nobody here asked for it, or it is not what was asked for). */
  blocksReceived: Counter<'use'>;
  receivedBytes: Counter<'use'>;
  blocksSent: Counter;
  sentBytes: Counter;
  sendFailures: Counter;
  /**
   * What another node sent and was not taken: malformed, oversized, buffer (too much of unfinished messages): the stream was reset;
   * cid (a want of what can be no block here), full (more wants than are remembered): passed over.
   */
  refused: Counter<'reason'>;
  /** Blocks asked for from a node that did not send them in time, so that another one was asked. */
  answersLate: Counter;
}

/** What is read at each scrape. */
export interface IpfsState {
  wants(): number;
  bitswapPeers(): number;
  repoBytes(): number;
}

export function ipfsMetrics(register: MetricsRegister, state: IpfsState): IpfsMetrics {
  register.gauge({ name: 'pinfold_ipfs_wants', help: 'Blocks that are being fetched.' }, (gauge) =>
    gauge.set(state.wants()),
  );
  register.gauge(
    { name: 'pinfold_ipfs_bitswap_peers', help: 'IPFS nodes that blocks can be exchanged with.' },
    (gauge) => gauge.set(state.bitswapPeers()),
  );
  register.gauge({ name: 'pinfold_ipfs_repo_bytes', help: 'Blocks on the disk.' }, (gauge) =>
    gauge.set(state.repoBytes()),
  );
  return {
    blocksReceived: register.counter({
      name: 'pinfold_ipfs_blocks_received_total',
      help: 'Blocks that other nodes sent, by use: wanted, unwanted.',
      labels: ['use'],
    }),
    receivedBytes: register.counter({
      name: 'pinfold_ipfs_received_bytes_total',
      help: 'Bytes of the blocks that other nodes sent, by use.',
      labels: ['use'],
    }),
    blocksSent: register.counter({
      name: 'pinfold_ipfs_blocks_sent_total',
      help: 'Blocks sent to other nodes.',
    }),
    sentBytes: register.counter({
      name: 'pinfold_ipfs_sent_bytes_total',
      help: 'Bytes of the blocks sent to other nodes.',
    }),
    sendFailures: register.counter({
      name: 'pinfold_ipfs_send_failures_total',
      help: 'Messages that did not leave for another node.',
    }),
    refused: register.counter({
      name: 'pinfold_ipfs_refused_total',
      help: 'What other nodes sent and was not taken, by reason: malformed, oversized, buffer, cid, full.',
      labels: ['reason'],
    }),
    answersLate: register.counter({
      name: 'pinfold_ipfs_answers_late_total',
      help: 'Blocks that were asked for elsewhere since the node that was asked did not send them in time.',
    }),
  };
}

import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock, Timers } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { MetricsRegister } from '../../runtime/metrics.ts';
import type { Connector } from '../connector.ts';
import { LISTEN_ADDRESSES_DEFAULT } from '../constants.ts';
import { ipfsMetrics } from '../metrics.ts';
import { NodeConnector } from '../node/node-connector.ts';
import { BlockFiles } from './block-files.ts';
import { ipfsHost } from './host.ts';
import { Libp2pExchange } from './libp2p-exchange.ts';
import { LmdbPinRecords } from './lmdb-pin-records.ts';
import { loadNodeKey } from './node-key.ts';

export interface EmbeddedInit {
  /** Name and version of the software, as other nodes see it: "pinfold/1.2.3". */
  agent: string;
  /** Where the node keeps its key, blocks and pin records; made when missing, mode 0700. One process at a time. */
  folder: string;
  /** Default `/ip4/0.0.0.0/tcp/9099`. */
  listenAddresses?: readonly string[];
  /**
   * `private`: only nodes with the same 32-byte key, HKDF-SHA256(cluster secret, 'pinfold/ipfs/1'), can connect.
   * `public`: the common IPFS network, without DHT: content comes from sources and from whoever connects.
   */
  network: { kind: 'private'; key: Uint8Array } | { kind: 'public' };
}

export interface EmbeddedNeeds {
  metrics: MetricsRegister;
  clock: Clock;
  timers: Timers;
  logger: Logger;
}

/** An IPFS node in the process: bitswap over libp2p, blocks as files, pin records in LMDB. */
export function embeddedConnector(init: EmbeddedInit, needs: EmbeddedNeeds): Connector {
  const { agent, listenAddresses = LISTEN_ADDRESSES_DEFAULT } = init;
  const blocks = new BlockFiles(join(init.folder, 'blocks'));
  const host = async () => {
    await chmod(init.folder, 0o700);
    return ipfsHost({
      agent,
      privateKey: await loadNodeKey(init.folder),
      listenAddresses,
      swarmKey: init.network.kind === 'private' ? init.network.key : undefined,
    });
  };
  const metrics = ipfsMetrics(needs.metrics, {
    wants: () => exchange.counts.wants,
    bitswapPeers: () => exchange.counts.peers,
    repoBytes: () => blocks.usedBytes,
  });
  const exchange = new Libp2pExchange({ agent, listenAddresses }, { ...needs, metrics, host, blocks });
  return new NodeConnector({ blocks, records: new LmdbPinRecords(join(init.folder, 'pins')), exchange, ...needs });
}

import type { Connector } from '../ipfs/connector.ts';
import { type EmbeddedInit, embeddedConnector } from '../ipfs/embedded/embedded-connector.ts';
import { parseRpcAddress } from '../ipfs/kubo/address.ts';
import { KuboConnector, type KuboNeeds } from '../ipfs/kubo/kubo-connector.ts';
import type { NodeStates } from '../ipfs/node-state.ts';
import { PinfoldError } from '../model/errors.ts';
import { ipfsNetworkKey } from './ipfs-key.ts';
import type { PeerConfig } from './options.ts';

export interface IpfsNodeInit {
  config: PeerConfig;
  /** For what the node keeps. */
  folder: string;
  secret: Uint8Array | undefined;
  /** Of this software. */
  version: string;
}

export interface IpfsNode {
  connector: Connector;
  /** Of a node that is a process of its own; the embedded one is up as long as the peer is. */
  nodeStates?: NodeStates;
}

/** The node that the configuration names. Errors: `CONFIG_INVALID`. */
export function ipfsNode(init: IpfsNodeInit, needs: KuboNeeds): IpfsNode {
  const { config, folder, secret, version } = init;
  if (config.ipfs.kind === 'kubo') return kuboNode(init, needs);
  const agent = `pinfold/${version}`;
  const { listen: listenAddresses } = config.ipfs;
  const network = ipfsNetwork(config, secret);
  return { connector: embeddedConnector({ agent, folder, listenAddresses, network }, needs) };
}

/** Its private network is a matter of its own `swarm.key`, which `pinfold config ipfs-swarm-key` prints. */
function kuboNode({ config, folder }: IpfsNodeInit, needs: KuboNeeds): IpfsNode {
  const { api, apiAuth: auth, apiTlsCa: caFile, apiTlsCert: certFile, apiTlsKey: keyFile } = config.ipfs;
  const init = { address: parseRpcAddress(api), auth, tls: { caFile, certFile, keyFile }, folder };
  try {
    const connector = new KuboConnector(init, needs);
    return { connector, nodeStates: connector.states };
  } catch (cause) {
    throw new PinfoldError('CONFIG_INVALID', `ipfs.apiTls...: ${(cause as Error).message}`, { cause });
  }
}

/** The key of the private IPFS network follows from the cluster's secret. */
function ipfsNetwork({ ipfs }: PeerConfig, secret: Uint8Array | undefined): EmbeddedInit['network'] {
  if (ipfs.network === 'public') return { kind: 'public' };
  if (secret === undefined) {
    throw new PinfoldError(
      'CONFIG_INVALID',
      'a private IPFS network needs the cluster secret: set ipfs.network to "public", or give the peer its secret',
    );
  }
  return { kind: 'private', key: ipfsNetworkKey(secret) };
}

import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { identify } from '@libp2p/identify';
import type { Libp2p, PrivateKey } from '@libp2p/interface';
import { ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import { createLibp2p } from 'libp2p';
import { noiseCrypto } from '../../runtime/noise-crypto.ts';
import { CONNECTIONS_MAX } from '../constants.ts';
import { privateNetwork } from './private-network/protector.ts';

export interface HostInit {
  /** What other nodes see of us in identify: name and version. */
  agent: string;
  privateKey: PrivateKey;
  listenAddresses: readonly string[];
  /** The pre-shared key, 32 bytes; undefined: the public network. */
  swarmKey: Uint8Array | undefined;
}

/** A libp2p host of its own for the IPFS node, not started. No DHT, no bootstrap, no mDNS: who is dialled is told to it. */
export function ipfsHost(init: HostInit): Promise<Libp2p> {
  const { swarmKey } = init;
  return createLibp2p({
    start: false,
    privateKey: init.privateKey,
    addresses: { listen: [...init.listenAddresses] },
    nodeInfo: { userAgent: init.agent },
    transports: [tcp()],
    connectionEncrypters: [noise({ crypto: noiseCrypto })],
    streamMuxers: [yamux()],
    connectionManager: { maxConnections: CONNECTIONS_MAX },
    services: { identify: identify(), ping: ping() },
    ...(swarmKey !== undefined && { connectionProtector: privateNetwork(swarmKey) }),
  });
}

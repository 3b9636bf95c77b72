import { yamux } from '@chainsafe/libp2p-yamux';
import type { GossipSub } from '@libp2p/gossipsub';
import type { Identify } from '@libp2p/identify';
import { identify } from '@libp2p/identify';
import type { Libp2p, PrivateKey } from '@libp2p/interface';
import { mdns } from '@libp2p/mdns';
import type { Ping } from '@libp2p/ping';
import { ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import { createLibp2p } from 'libp2p';
import {
  CONNECTIONS_PENDING_MAX,
  CONNECTIONS_PER_HOST_PER_SECOND_MAX,
  DIAL_TIMEOUT_MS,
  DIALS_PARALLEL_MAX,
  HANDSHAKE_TIMEOUT_MS,
  PING_INTERVAL_MS,
  PING_TIMEOUT_MS,
  RPC_STREAMS_PER_PEER_MAX,
  STREAM_INACTIVITY_MS,
  STREAM_READ_BUFFER_BYTES_MAX,
  STREAM_WINDOW_BYTES_MAX,
  STREAM_WINDOW_FIRST_BYTES,
} from '../constants.ts';
import { sendFewerWindowUpdates } from './fewer-window-updates.ts';
import type { Libp2pGossip } from './gossip.ts';
import { mdnsTag, type PrivateNoiseNeeds, privateNoise, swarmPrologue } from './private-network.ts';
import { quietLogger } from './quiet-logger.ts';

export interface NodeInit {
  privateKey: PrivateKey;
  secret: Uint8Array | undefined;
  listen: readonly string[];
  announce: readonly string[];
  mdns: boolean;
  connectionsMax: number;
}

export type Node = Libp2p<{ gossip: GossipSub; identify: Identify; ping: Ping }>;

/** Gossip, identify and ping on a few streams, RPC on many. */
const STREAMS_PER_CONNECTION_MAX = RPC_STREAMS_PER_PEER_MAX + 64;

/** A libp2p node of the private network, not started. */
export function createNode(init: NodeInit, gossip: Libp2pGossip, needs: PrivateNoiseNeeds): Promise<Node> {
  sendFewerWindowUpdates();
  return createLibp2p({
    start: false,
    privateKey: init.privateKey,
    logger: quietLogger,
    nodeInfo: { name: 'pinfold' },
    addresses: { listen: [...init.listen], announce: [...init.announce] },
    transports: [
      tcp({
        inboundSocketInactivityTimeout: STREAM_INACTIVITY_MS,
        outboundSocketInactivityTimeout: STREAM_INACTIVITY_MS,
      }),
    ],
    // The only one: with another encrypter on offer a stranger would choose that, and need no secret.
    connectionEncrypters: [privateNoise(swarmPrologue(init.secret), needs)],
    streamMuxers: [
      yamux({
        maxInboundStreams: STREAMS_PER_CONNECTION_MAX,
        maxOutboundStreams: STREAMS_PER_CONNECTION_MAX,
        // Who dialled may call before this side has finished taking the connection in.
        maxEarlyStreams: STREAMS_PER_CONNECTION_MAX,
        streamOptions: {
          initialStreamWindowSize: STREAM_WINDOW_FIRST_BYTES,
          maxStreamWindowSize: STREAM_WINDOW_BYTES_MAX,
          maxReadBufferLength: STREAM_READ_BUFFER_BYTES_MAX,
          inactivityTimeout: STREAM_INACTIVITY_MS,
        },
      }),
    ],
    connectionManager: {
      maxConnections: init.connectionsMax,
      maxIncomingPendingConnections: CONNECTIONS_PENDING_MAX,
      inboundConnectionThreshold: CONNECTIONS_PER_HOST_PER_SECOND_MAX,
      inboundUpgradeTimeout: HANDSHAKE_TIMEOUT_MS,
      dialTimeout: DIAL_TIMEOUT_MS,
      maxParallelDials: DIALS_PARALLEL_MAX,
    },
    connectionMonitor: { pingInterval: PING_INTERVAL_MS, pingTimeout: { minTimeout: PING_TIMEOUT_MS } },
    peerDiscovery: init.mdns ? [mdns({ serviceTag: mdnsTag(init.secret) })] : [],
    services: { identify: identify(), ping: ping(), gossip: gossip.service() },
  });
}

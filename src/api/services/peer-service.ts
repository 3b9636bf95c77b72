import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  GetPeerResponseSchema,
  ListPeersResponseSchema,
  type Peer,
  PeerHealth,
  PeerSchema,
  type PeerService,
} from '../../../gen/pinfold/v1/peer_service_pb.ts';
import type { Overview, PeerOverview } from '../../cluster/overview.ts';
import type { Handlers } from '../handlers.ts';

export function peerService(overview: Overview): Handlers<typeof PeerService> {
  return {
    async getPeer({ peerId }) {
      return create(GetPeerResponseSchema, { peer: peerMessage(overview.peer(peerId)) });
    },
    async listPeers() {
      return create(ListPeersResponseSchema, { peers: overview.peers().map(peerMessage) });
    },
  };
}

const healths = { up: PeerHealth.UP, suspect: PeerHealth.SUSPECT, down: PeerHealth.DOWN };

export function peerMessage(peer: PeerOverview): Peer {
  return create(PeerSchema, {
    peerId: peer.peerId,
    name: peer.name,
    addresses: peer.addresses,
    version: peer.version,
    follower: peer.follower,
    health: peer.joining ? PeerHealth.JOINING : healths[peer.health],
    ipfs: peer.ipfs ?? { error: 'the IPFS node of this peer is not known' },
    ...(peer.lastHeardMs === 0 ? {} : { lastHeard: timestampFromMs(peer.lastHeardMs) }),
    metrics: peer.metrics.map(metricMessage),
    self: peer.self,
  });
}

function metricMessage({ name, value, valid }: PeerOverview['metrics'][number]) {
  const shown = typeof value === 'number' ? { case: 'number' as const, value } : { case: 'text' as const, value };
  return { name, valid, value: shown };
}

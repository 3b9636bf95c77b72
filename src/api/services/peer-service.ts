import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  AddPeerResponseSchema,
  GetPeerResponseSchema,
  ListPeersResponseSchema,
  type Peer,
  PeerHealth,
  PeerSchema,
  type PeerService,
  RejoinStoreResponseSchema,
  RemovePeerResponseSchema,
  RenewStoreResponseSchema,
  TrustPeerResponseSchema,
  UndrainPeerResponseSchema,
} from '../../../gen/pinfold/v1/peer_service_pb.ts';
import type { Collecting } from '../../cluster/collecting.ts';
import type { Membership } from '../../cluster/membership.ts';
import { nodeStateNumbers } from '../../cluster/node-state-numbers.ts';
import type { Overview, PeerOverview } from '../../cluster/overview.ts';
import type { Draining } from '../../cluster/reallocation/draining.ts';
import type { StoreCare } from '../../cluster/store-care.ts';
import type { StoreKeeping } from '../../cluster/store-keeping.ts';
import type { Trusting } from '../../cluster/trusting.ts';
import type { Handlers } from '../handlers.ts';
import { collectMethods } from './collecting.ts';
import { drainMethods } from './placement.ts';
import { repairMethods } from './repair.ts';

export interface PeerServiceNeeds {
  overview: Overview;
  trusting: Trusting;
  membership: Membership;
  draining: Draining;
  collecting: Collecting;
  storeCare: StoreCare;
  store: StoreKeeping;
}

export function peerService({
  overview,
  trusting,
  membership,
  draining,
  collecting,
  storeCare,
  store,
}: PeerServiceNeeds): Handlers<typeof PeerService> {
  return {
    ...repairMethods(storeCare),
    ...drainMethods(draining),
    ...collectMethods(collecting),
    async getPeer({ peerId }) {
      return create(GetPeerResponseSchema, { peer: peerMessage(overview.peer(peerId)) });
    },
    async listPeers() {
      return create(ListPeersResponseSchema, { peers: overview.peers().map(peerMessage) });
    },
    async addPeer({ address }, call) {
      return create(AddPeerResponseSchema, { peerId: await membership.add(address, call) });
    },
    async removePeer({ peerId }, call) {
      const peer = peerMessage(overview.peer(peerId));
      const { allocatedPins, morePins, live } = await membership.remove(peerId, call);
      return create(RemovePeerResponseSchema, { peer, allocatedPins: BigInt(allocatedPins), morePins, live });
    },
    async undrainPeer({ peerId }, call) {
      await draining.undrain(peerId, call);
      return create(UndrainPeerResponseSchema, { peer: peerMessage(overview.peer(peerId)) });
    },
    async trustPeer({ replace, add, remove }) {
      const list = replace && (replace.all ? 'all' : replace.peerIds);
      const trusts = await trusting.change({ replace: list, add, remove });
      return create(TrustPeerResponseSchema, { trusts: trustMessage(trusts) });
    },
    async renewStore() {
      await store.renew();
      return create(RenewStoreResponseSchema);
    },
    async rejoinStore({ force }, { signal }) {
      return create(RejoinStoreResponseSchema, { setAside: await store.rejoin({ force, signal }) });
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
    ipfs: ipfsMessage(peer),
    ...(peer.lastHeardMs === 0 ? {} : { lastHeard: timestampFromMs(peer.lastHeardMs) }),
    metrics: peer.metrics.map(metricMessage),
    self: peer.self,
    ...(peer.trusts === undefined ? {} : { trusts: trustMessage(peer.trusts) }),
    unseen: peer.unseen,
    draining: peer.draining,
  });
}

export function ipfsMessage({ ipfs, ipfsState }: Pick<PeerOverview, 'ipfs' | 'ipfsState'>) {
  const unknown = ipfs === undefined ? 'the IPFS node of this peer is not known' : '';
  if (ipfsState === undefined) return { ...ipfs, error: unknown };
  return {
    ...ipfs,
    state: nodeStateNumbers[ipfsState.name],
    error: ipfsState.detail === '' ? unknown : ipfsState.detail,
  };
}

function trustMessage(trusts: readonly string[] | 'all') {
  return trusts === 'all' ? { all: true } : { peerIds: [...trusts] };
}

function metricMessage({ name, value, valid }: PeerOverview['metrics'][number]) {
  const shown = typeof value === 'number' ? { case: 'number' as const, value } : { case: 'text' as const, value };
  return { name, valid, value: shown };
}

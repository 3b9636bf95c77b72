import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  ApplyRebalanceResponseSchema,
  type ClusterService,
  PlanRebalanceResponseSchema,
} from '../../../gen/pinfold/v1/cluster_service_pb.ts';
import {
  DrainPeerResponseSchema,
  type PeerService,
  PlanDrainResponseSchema,
} from '../../../gen/pinfold/v1/peer_service_pb.ts';
import type { PlacementEventSchema } from '../../../gen/pinfold/v1/placement_pb.ts';
import type { Draining } from '../../cluster/reallocation/draining.ts';
import type { PlanStep } from '../../cluster/reallocation/plan.ts';
import type { Rebalancing } from '../../cluster/reallocation/rebalancing.ts';
import type { Handlers } from '../handlers.ts';

type DrainMethods = Pick<Handlers<typeof PeerService>, 'planDrain' | 'drainPeer'>;
type RebalanceMethods = Pick<Handlers<typeof ClusterService>, 'planRebalance' | 'applyRebalance'>;

export function drainMethods(draining: Draining): DrainMethods {
  return {
    async *planDrain({ peerId }, call) {
      for await (const step of draining.plan(peerId, call))
        yield create(PlanDrainResponseSchema, { event: eventMessage(step) });
    },
    async *drainPeer({ peerId }, call) {
      for await (const left of draining.drain(peerId, call))
        yield create(DrainPeerResponseSchema, { left: BigInt(left) });
    },
  };
}

export function rebalanceMethods(rebalancing: Rebalancing): RebalanceMethods {
  return {
    async *planRebalance(_request, call) {
      for await (const step of rebalancing.plan(call))
        yield create(PlanRebalanceResponseSchema, { event: eventMessage(step) });
    },
    async *applyRebalance(_request, call) {
      for await (const step of rebalancing.apply(call))
        yield create(ApplyRebalanceResponseSchema, { event: eventMessage(step) });
    },
  };
}

function eventMessage(step: PlanStep): MessageInitShape<typeof PlacementEventSchema> {
  if (step.kind === 'progress') {
    return { event: { case: 'progress', value: { done: BigInt(step.done), of: BigInt(step.of) } } };
  }
  const { pins, stuck, everywhere, peers } = step;
  const value = {
    pins: BigInt(pins),
    stuck: BigInt(stuck),
    everywhere: BigInt(everywhere),
    peers: peers.map((peer) => ({
      peerId: peer.peerId,
      peerName: peer.peerName,
      pins: BigInt(peer.pins),
      leaving: BigInt(peer.leaving),
      arriving: BigInt(peer.arriving),
      arrivingBytes: BigInt(peer.arrivingBytes),
    })),
  };
  return { event: { case: 'plan', value } };
}

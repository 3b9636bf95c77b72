import { create } from '@bufbuild/protobuf';
import {
  ConnectionSchema,
  GetConnectionsRequestSchema,
  type GetConnectionsResponse,
  GetConnectionsResponseSchema,
} from '../../gen/pinfold/peer/v1/service_pb.ts';
import { forEachLimited } from '../ipfs/for-each-limited.ts';
import type { NodeState } from '../ipfs/node-state.ts';
import { answerWithinMs, type CallContext } from '../model/call-context.ts';
import type { Member, Monitor } from '../monitor/monitor.ts';
import type { Network } from '../network/network.ts';
import type { PeerRpcHandlers } from '../network/peer-methods.ts';
import { deadlineSignal } from '../runtime/abort.ts';
import type { Clock, Timers } from '../runtime/clock.ts';
import { CONNECTIVITY_ASKED_AT_ONCE, PEER_ANSWER_TIMEOUT_MS, STATUS_ERROR_LENGTH_MAX } from './constants.ts';
import { nodeStateNumbers, nodeStateOfNumber } from './node-state-numbers.ts';
import { answerOf } from './peer-calls.ts';
import { type PeerError, peerError } from './peer-statuses.ts';

/** Who is connected with whom, as each member says. Members that do not say so in time are named, and never waited for. */
export type Connectivity = (call: CallContext) => Promise<{ peers: PeerConnections[]; errors: PeerError[] }>;

export interface PeerConnections extends Pick<Member, 'peerId' | 'name' | 'ipfs'> {
  /** By peer ID; maybe of peers that are no members. `latencyMs` is there and back; undefined: not measured yet. */
  connections: { peerId: string; latencyMs: number | undefined }[];
  ipfsState: NodeState | undefined;
}

export interface ConnectivityNeeds {
  network: Pick<Network, 'connected' | 'latencyMs' | 'rpc'>;
  monitor: Pick<Monitor, 'members' | 'member'>;
  ipfsState: () => NodeState;
  clock: Clock;
  timers: Timers;
}

export function connectivity(needs: ConnectivityNeeds): Connectivity {
  return async (call) => {
    const { monitor, clock, timers } = needs;
    const withinMs = Math.min(PEER_ANSWER_TIMEOUT_MS, answerWithinMs(call, clock.nowMs()));
    using scope = deadlineSignal(timers, withinMs, call.signal);
    const answered = new Map<string, GetConnectionsResponse>();
    const errors: PeerError[] = [];
    const members = monitor.members();
    const { rpc } = needs.network;
    const request = create(GetConnectionsRequestSchema);
    await forEachLimited(members, CONNECTIVITY_ASKED_AT_ONCE, async ({ peerId, self }) => {
      try {
        answered.set(
          peerId,
          self ? ownConnections(needs) : await answerOf(rpc, peerId, 'getConnections', request, scope.signal),
        );
      } catch (error) {
        call.signal.throwIfAborted();
        errors.push(peerError(needs, peerId, error));
      }
    });
    const peers = members.flatMap((member) => {
      const answer = answered.get(member.peerId);
      return answer === undefined ? [] : [peerConnections(member, answer)];
    });
    return { peers, errors };
  };
}

/** What this peer tells other peers about its connections. */
export function connectionHandlers(needs: ConnectivityNeeds): Pick<PeerRpcHandlers, 'getConnections'> {
  return {
    async *getConnections() {
      yield ownConnections(needs);
    },
  };
}

function ownConnections({ network, ipfsState }: ConnectivityNeeds): GetConnectionsResponse {
  const { name, detail } = ipfsState();
  const connections = network
    .connected()
    .map((peerId) => ({ peerId, latencyUs: microseconds(network.latencyMs(peerId)) }));
  return create(GetConnectionsResponseSchema, {
    connections: connections.map((each) => create(ConnectionSchema, each)),
    ipfsState: nodeStateNumbers[name],
    ipfsError: detail.slice(0, STATUS_ERROR_LENGTH_MAX),
  });
}

/** What was measured is at least one: none is "not measured". */
function microseconds(ms: number | undefined): number {
  return ms === undefined ? 0 : Math.min(0xffffffff, Math.max(1, Math.round(ms * 1_000)));
}

function peerConnections({ peerId, name, ipfs }: Member, answer: GetConnectionsResponse): PeerConnections {
  const state = nodeStateOfNumber(answer.ipfsState);
  const connections = answer.connections
    .map((each) => ({ peerId: each.peerId, latencyMs: each.latencyUs === 0 ? undefined : each.latencyUs / 1_000 }))
    .sort((a, b) => (a.peerId < b.peerId ? -1 : 1));
  return { peerId, name, ipfs, connections, ipfsState: state && { name: state, detail: answer.ipfsError } };
}

import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  AlertChange_Kind,
  type ClusterService,
  GetClusterResponseSchema,
  GetConnectivityResponseSchema,
  Rebuild_Step,
  WatchAlertsResponseSchema,
} from '../../../gen/pinfold/v1/cluster_service_pb.ts';
import type { Alerts } from '../../cluster/alerts.ts';
import type { Connectivity, PeerConnections } from '../../cluster/connectivity.ts';
import type { ClusterOverview, Overview } from '../../cluster/overview.ts';
import type { Rebalancing } from '../../cluster/reallocation/rebalancing.ts';
import type { Alert } from '../../monitor/monitor.ts';
import type { Handlers } from '../handlers.ts';
import { ackKinds } from './convert.ts';
import { ipfsMessage, peerMessage } from './peer-service.ts';
import { rebalanceMethods } from './placement.ts';

export interface ClusterServiceNeeds {
  overview: Overview;
  alerts: Alerts;
  connectivity: Connectivity;
  rebalancing: Rebalancing;
}

export function clusterService({
  overview,
  alerts,
  connectivity,
  rebalancing,
}: ClusterServiceNeeds): Handlers<typeof ClusterService> {
  return {
    ...rebalanceMethods(rebalancing),
    async getCluster() {
      const cluster = overview.cluster();
      const { capabilities, statuses } = cluster;
      return create(GetClusterResponseSchema, {
        name: cluster.name,
        consensus: capabilities.name,
        capabilities: {
          hasLeader: capabilities.hasLeader,
          writesInMinority: capabilities.writesInMinority,
          linearizableReads: capabilities.linearizableReads,
          linearizableConditions: capabilities.conditionScope === 'linearizable',
          // PINNED is learned from the nodes, whatever the consensus is.
          levels: [...capabilities.levels, 'pinned' as const].map((kind) => ackKinds[kind]),
        },
        members: cluster.members.map(peerMessage),
        leader: cluster.leader ?? '',
        digest: cluster.digest,
        pins: BigInt(cluster.pins),
        version: cluster.version,
        alerts: cluster.alerts.map(alertMessage),
        statuses: {
          pinned: BigInt(statuses.pinned),
          pinning: BigInt(statuses.pinning),
          queued: BigInt(statuses.queued),
          failed: BigInt(statuses.failed),
        },
        ...rebuildMessage(cluster),
        log: logMessage(cluster),
      });
    },

    async *watchAlerts(_, { signal }) {
      for await (const { changes, caughtUp } of alerts.watch({ signal })) {
        yield create(WatchAlertsResponseSchema, {
          changes: changes.map(({ alert, raised }) => ({
            kind: raised ? AlertChange_Kind.RAISED : AlertChange_Kind.CLEARED,
            alert: alertMessage(alert),
          })),
          caughtUp,
        });
      }
    },

    async getConnectivity(_, call) {
      const { peers, errors } = await connectivity(call);
      return create(GetConnectivityResponseSchema, { peers: peers.map(connectionsMessage), errors });
    },
  };
}

function alertMessage({ kind, peerId, message, sinceMs }: Alert) {
  return { kind, peerId, message, since: timestampFromMs(sinceMs) };
}

function connectionsMessage(peer: PeerConnections) {
  const { peerId, name, connections } = peer;
  return {
    peerId,
    name,
    ipfs: ipfsMessage(peer),
    connections: connections.map(({ peerId: to, latencyMs }) => ({
      peerId: to,
      ...(latencyMs === undefined ? {} : { latencyMs }),
    })),
  };
}

const steps = {
  filling: Rebuild_Step.FILLING,
  indexing: Rebuild_Step.INDEXING,
  'catching-up': Rebuild_Step.CATCHING_UP,
} as const;

function rebuildMessage({ rebuild }: ClusterOverview) {
  return rebuild === undefined ? {} : { rebuild: { ...rebuild, step: steps[rebuild.step] } };
}

function logMessage({ log: { batches, bytes, oldestMs, holders } }: ClusterOverview) {
  return {
    batches: BigInt(batches),
    bytes: BigInt(bytes),
    ...(oldestMs === undefined ? {} : { oldest: timestampFromMs(oldestMs) }),
    holders: holders.map(({ peerId, heardMs, lacking }) => ({
      peerId,
      heard: timestampFromMs(heardMs),
      lacking: BigInt(lacking),
    })),
  };
}

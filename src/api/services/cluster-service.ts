import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  type ClusterService,
  GetClusterResponseSchema,
  Rebuild_Step,
} from '../../../gen/pinfold/v1/cluster_service_pb.ts';
import type { ClusterOverview, Overview } from '../../cluster/overview.ts';
import type { Handlers } from '../handlers.ts';
import { ackKinds } from './convert.ts';
import { peerMessage } from './peer-service.ts';

export function clusterService(overview: Overview): Handlers<typeof ClusterService> {
  return {
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
        alerts: cluster.alerts.map(({ kind, peerId, message, sinceMs }) => ({
          kind,
          peerId,
          message,
          since: timestampFromMs(sinceMs),
        })),
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

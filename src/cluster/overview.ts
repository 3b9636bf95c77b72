import type { Capabilities, Consensus, LogStatus, RebuildStatus } from '../consensus/consensus.ts';
import type { NodeState } from '../ipfs/node-state.ts';
import type { Alert, Member, Monitor } from '../monitor/monitor.ts';
import type { Pinset } from '../pinset/pinset.ts';
import type { StatusCounts, Tracker } from '../tracker/tracker.ts';
import type { Alerts } from './alerts.ts';
import { notFound } from './membership.ts';
import type { TrustPort } from './trusting.ts';

/** The cluster and its members, as this peer sees them. */
export interface Overview {
  cluster(): ClusterOverview;
  peers(): PeerOverview[];
  /** Without an ID this peer. Throws PEER_NOT_FOUND. */
  peer(peerId: string): PeerOverview;
}

export interface ClusterOverview {
  name: string;
  capabilities: Capabilities;
  members: PeerOverview[];
  leader: string | undefined;
  digest: Uint8Array;
  pins: number;
  version: string;
  alerts: Alert[];
  statuses: StatusCounts;
  rebuild: RebuildStatus | undefined;
  log: LogStatus;
}

export interface PeerOverview extends Member {
  /** This peer, while it takes in the pinset. */
  joining: boolean;
  /** Undefined: not known here. */
  trusts: readonly string[] | 'all' | undefined;
  /** It will not get, or is not known to get, what this peer writes. */
  unseen: boolean;
  /** Of this peer; of others it is not known. */
  ipfsState: NodeState | undefined;
}

export interface OverviewNeeds {
  clusterName: string;
  version: string;
  consensus: Pick<Consensus, 'capabilities' | 'status'>;
  monitor: Pick<Monitor, 'members' | 'member'>;
  alerts: Pick<Alerts, 'list'>;
  pinset: Pick<Pinset, 'count' | 'digest'>;
  tracker: Pick<Tracker, 'counts'>;
  trust: Pick<TrustPort, 'listOf' | 'unseen'>;
  ipfsState: () => NodeState;
}

export function overview(needs: OverviewNeeds): Overview {
  const { consensus, monitor, pinset, tracker, trust, alerts } = needs;
  function peerOverview(): (member: Member) => PeerOverview {
    const unseen = new Set(trust.unseen().unseenBy);
    return (member) => ({
      ...member,
      joining: member.self && consensus.status().phase === 'joining',
      trusts: trust.listOf(member.peerId)?.peerIds,
      unseen: unseen.has(member.peerId),
      ipfsState: member.self ? needs.ipfsState() : undefined,
    });
  }

  return {
    cluster() {
      const status = consensus.status();
      return {
        name: needs.clusterName,
        capabilities: consensus.capabilities,
        members: monitor.members().map(peerOverview()),
        leader: status.leader,
        digest: pinset.digest.root(),
        pins: pinset.count(),
        version: needs.version,
        alerts: alerts.list(),
        statuses: tracker.counts(),
        rebuild: status.rebuild,
        log: status.log,
      };
    },
    peers: () => monitor.members().map(peerOverview()),
    peer(peerId) {
      const member = peerId === '' ? monitor.members()[0] : monitor.member(peerId);
      if (member !== undefined) return peerOverview()(member);
      throw notFound(peerId);
    },
  };
}

import pc from 'picocolors';
import { IpfsNodeState, type Peer, PeerHealth } from '../../../gen/pinfold/v1/peer_service_pb.ts';
import { formatBytes } from '../output.ts';

export const peerColumns = ['PEER', 'NAME', 'HEALTH', 'FREE', 'VERSION'];

const healths: Partial<Record<PeerHealth, string>> = {
  [PeerHealth.UP]: pc.green('up'),
  [PeerHealth.SUSPECT]: pc.yellow('suspect'),
  [PeerHealth.DOWN]: pc.red('down'),
  [PeerHealth.JOINING]: pc.yellow('joining'),
};

export const healthText = (health: PeerHealth): string => healths[health] ?? '';

const ipfsStates: Partial<Record<IpfsNodeState, string>> = {
  [IpfsNodeState.UP]: 'up',
  [IpfsNodeState.RESTARTING]: 'restarting',
  [IpfsNodeState.DOWN]: 'down',
  [IpfsNodeState.UNAUTHORIZED]: 'unauthorized',
  [IpfsNodeState.OTHER_IDENTITY]: 'other_identity',
  [IpfsNodeState.NO_SPACE]: 'no_space',
  [IpfsNodeState.COLLECTING]: 'collecting',
};

/** Nothing for a node of another peer. */
export const ipfsStateText = (state: IpfsNodeState | undefined): string =>
  ipfsStates[state ?? IpfsNodeState.UNSPECIFIED] ?? '';

export function peerRow(peer: Peer): string[] {
  const free = metricOf(peer, 'freespace');
  return [
    peer.peerId,
    peer.self ? `${peer.name} (this one)` : peer.name,
    peer.draining ? `${healthText(peer.health)}, ${pc.yellow('draining')}` : healthText(peer.health),
    free === undefined ? '' : formatBytes(free),
    peer.version,
  ];
}

function metricOf(peer: Peer, name: string): number | undefined {
  const metric = peer.metrics.find((each) => each.name === name);
  return metric?.value.case === 'number' ? metric.value.value : undefined;
}

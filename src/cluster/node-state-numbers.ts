import { IpfsNodeState } from '../../gen/pinfold/v1/peer_service_pb.ts';
import { type NodeStateName, nodeStateNames } from '../ipfs/node-state.ts';

/** The states of an IPFS node as peers and clients are told. */
export const nodeStateNumbers: Readonly<Record<NodeStateName, IpfsNodeState>> = {
  up: IpfsNodeState.UP,
  restarting: IpfsNodeState.RESTARTING,
  down: IpfsNodeState.DOWN,
  unauthorized: IpfsNodeState.UNAUTHORIZED,
  other_identity: IpfsNodeState.OTHER_IDENTITY,
  no_space: IpfsNodeState.NO_SPACE,
  collecting: IpfsNodeState.COLLECTING,
};

/** Undefined: not told, or not known to this version. */
export function nodeStateOfNumber(number: IpfsNodeState): NodeStateName | undefined {
  return nodeStateNames.find((name) => nodeStateNumbers[name] === number);
}

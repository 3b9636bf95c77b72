import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  type ErrorClass,
  type PeerPinStatus as PeerPinStatusMessage,
  PeerPinStatusSchema,
  type PinStatus as PinStatusMessage,
  PinStatusSchema,
  type TrackerStatus,
} from '../../../gen/pinfold/v1/pin_pb.ts';
import type { PeerPinStatus } from '../../cluster/claim-status.ts';
import type { PinStatus } from '../../cluster/status.ts';
import { formatCid } from '../../model/cid.ts';
import { errorClassNumber, statusNumbers } from '../../model/status.ts';

export function pinStatusMessage(status: PinStatus): PinStatusMessage {
  return create(PinStatusSchema, {
    namespace: status.namespace,
    cid: formatCid(status.cid),
    name: status.name,
    allocations: [...status.allocations],
    ...(status.createdMs === 0 ? {} : { created: timestampFromMs(status.createdMs) }),
    peers: status.peers.map(peerPinStatusMessage),
  });
}

export function peerPinStatusMessage(peer: PeerPinStatus): PeerPinStatusMessage {
  return create(PeerPinStatusSchema, {
    peerId: peer.peerId,
    peerName: peer.peerName,
    status: statusNumbers[peer.status] as TrackerStatus,
    attempts: peer.attempts,
    errorClass: errorClassNumber(peer.errorClass) as ErrorClass,
    error: peer.error,
    ...(peer.sinceMs === 0 ? {} : { since: timestampFromMs(peer.sinceMs) }),
    ...(peer.retryAtMs === 0 ? {} : { retryAt: timestampFromMs(peer.retryAtMs) }),
  });
}

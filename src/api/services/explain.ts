import { create } from '@bufbuild/protobuf';
import {
  ExplainedPeer_Standing,
  ExplainedPeerSchema,
  type ExplainPinResponse,
  ExplainPinResponseSchema,
} from '../../../gen/pinfold/v1/explain_pb.ts';
import type { ExplainedPeer, PinExplanation } from '../../cluster/explain.ts';
import { pinMessage } from './convert.ts';
import { peerPinStatusMessage } from './statuses.ts';

export function explanationMessage({ pin, peers, ...placed }: PinExplanation): ExplainPinResponse {
  return create(ExplainPinResponseSchema, {
    ...(pin === undefined ? {} : { pin: pinMessage(pin) }),
    peers: peers.map(peerMessage),
    ...placed,
  });
}

const standings: Record<ExplainedPeer['standing'], ExplainedPeer_Standing> = {
  takes: ExplainedPeer_Standing.TAKES,
  named: ExplainedPeer_Standing.NAMED,
  keeps: ExplainedPeer_Standing.KEEPS,
  leaves: ExplainedPeer_Standing.LEAVES,
};

function peerMessage({ peerId, peerName, isAllocated, standing, reason, why, rank, status, work }: ExplainedPeer) {
  return create(ExplainedPeerSchema, {
    peerId,
    peerName,
    allocated: isAllocated,
    standing: standings[standing],
    reason: reason?.code ?? '',
    why,
    rank,
    status: peerPinStatusMessage(status),
    ...(work === undefined ? {} : { work }),
  });
}

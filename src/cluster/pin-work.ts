import { create } from '@bufbuild/protobuf';
import { ExplainWishRequestSchema, ExplainWishResponseSchema } from '../../gen/pinfold/peer/v1/service_pb.ts';
import { type PinWork, PinWorkSchema } from '../../gen/pinfold/v1/explain_pb.ts';
import type { NodeState } from '../ipfs/node-state.ts';
import { checkCid } from '../model/cid.ts';
import type { PeerRpc } from '../network/network.ts';
import type { PeerRpcHandlers } from '../network/peer-methods.ts';
import { type Tracker, type WorkPlace, workStages } from '../tracker/tracker.ts';
import { STATUS_ERROR_LENGTH_MAX } from './constants.ts';
import { nodeStateNumbers } from './node-state-numbers.ts';
import { answerOf, requestOf } from './peer-calls.ts';
import { wrongAnswer } from './status-rows.ts';

export interface PinWorkNeeds {
  tracker: Pick<Tracker, 'placeOf'>;
  ipfsState: () => NodeState;
}

/** Where a wish is in the work of this peer. */
export function ownPinWork({ tracker, ipfsState }: PinWorkNeeds, cid: Uint8Array): PinWork {
  const place = tracker.placeOf(cid);
  const node = nodeStateOf(place, ipfsState());
  return create(PinWorkSchema, {
    // The enum has the order of the names.
    stage: (workStages.indexOf(place.stage) + 1) as PinWork['stage'],
    lane: place.lane ?? '',
    ahead: place.ahead,
    underWay: place.underWay,
    underWayMax: place.underWayMax,
    ipfsState: nodeStateNumbers[node.name],
    ipfsError: node.detail.slice(0, STATUS_ERROR_LENGTH_MAX),
    waitsFor: waitsFor(place, node).slice(0, 2 * STATUS_ERROR_LENGTH_MAX),
  });
}

/** What this peer tells other peers about a wish of its own. */
export function pinWorkHandlers(needs: PinWorkNeeds): Pick<PeerRpcHandlers, 'explainWish'> {
  return {
    async *explainWish(requests) {
      const { cid } = await requestOf(requests);
      checkCid(cid, 'cid');
      yield create(ExplainWishResponseSchema, { work: ownPinWork(needs, cid) });
    },
  };
}

/** Rejects with a PinfoldError, or the signal's reason. */
export async function askPinWork(
  rpc: Pick<PeerRpc, 'call'>,
  peerId: string,
  cid: Uint8Array,
  signal: AbortSignal,
): Promise<PinWork> {
  const request = create(ExplainWishRequestSchema, { cid });
  const { work } = await answerOf(rpc, peerId, 'explainWish', request, signal);
  if (work === undefined) throw wrongAnswer('no work');
  return work;
}

/** The tracker notices by its calls that a node does not answer, also where nobody watches the node. */
function nodeStateOf({ isNodeDown }: WorkPlace, state: NodeState): NodeState {
  if (!isNodeDown || state.name !== 'up') return state;
  return { name: 'down', detail: 'it does not answer; it is asked again until it does' };
}

function waitsFor(place: WorkPlace, { name, detail }: NodeState): string {
  const node = name === 'up' ? '' : `; the IPFS node is ${name}: ${detail}`;
  return stageWords[place.stage](place) + (place.stage === 'idle' ? '' : node);
}

const stageWords: Record<WorkPlace['stage'], (place: WorkPlace) => string> = {
  unread: ({ ahead }) => `the peer has not looked at this change of the pinset yet; ${ahead} wait to be looked at`,
  flushing: () => 'for that change to be on the disk of the peer',
  queued: ({ lane, ahead, underWay, underWayMax }) =>
    `its turn: ${ahead} are before it in the lane "${lane}", ${underWay} of at most ${underWayMax} under way`,
  running: ({ underWay, underWayMax }) => `the attempt under way, one of ${underWay} (at most ${underWayMax})`,
  later: () => 'the time of its next attempt',
  due: ({ underWay, underWayMax }) =>
    `a place in a lane: its time has come; ${underWay} of at most ${underWayMax} under way`,
  idle: () => 'nothing: there is nothing left to do',
};

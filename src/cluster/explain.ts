import type { PinWork } from '../../gen/pinfold/v1/explain_pb.ts';
import type { AllocatablePeer, AllocationInput, Place } from '../allocator/allocator.ts';
import { forEachLimited } from '../ipfs/for-each-limited.ts';
import { answerWithinMs, type CallContext } from '../model/call-context.ts';
import { toV1 } from '../model/cid.ts';
import { isPinfoldError } from '../model/errors.ts';
import { everywhere, isAllocatedTo, pinLimits } from '../model/pin.ts';
import { pinKey } from '../model/pin-key.ts';
import type { PeerRpc } from '../network/network.ts';
import type { Pinset, StoredPin } from '../pinset/pinset.ts';
import { deadlineSignal } from '../runtime/abort.ts';
import type { Clock, Timers } from '../runtime/clock.ts';
import type { PeerPinStatus } from './claim-status.ts';
import { EXPLAIN_ASKED_AT_ONCE, PEER_ANSWER_TIMEOUT_MS } from './constants.ts';
import { askPinWork, ownPinWork, type PinWorkNeeds } from './pin-work.ts';
import type { Placing } from './placing.ts';
import { noMember, type PeerReason, standingWords } from './standing-words.ts';
import type { ClusterStatus } from './status.ts';

/**
 * Why a pin lies where it does, where it would be placed now, and what those wait for that are not done with it. Rejects with
 * PIN_NOT_FOUND. A peer that does not say in time what it waits for is answered without.
 */
export type ExplainPin = (query: { cid: Uint8Array; namespace: string }, call: CallContext) => Promise<PinExplanation>;

export interface PinExplanation {
  /** Undefined: nobody claims the CID any more, and a node still removes it. */
  pin: StoredPin | undefined;
  /** First those that would take it, best first. */
  peers: ExplainedPeer[];
  /** Peer IDs that the allocator would choose now: for the pin written again as it is, and were it new. */
  placedAgain: string[];
  placedAnew: string[];
  /** Why it could not be written now; empty: it could. */
  problem: string;
}

export interface ExplainedPeer {
  peerId: string;
  peerName: string;
  isAllocated: boolean;
  standing: AllocatablePeer['standing'];
  reason: PeerReason | undefined;
  /** The standing in words. */
  why: string;
  /** Its place in the order in which the allocator would take peers for this pin, were it new; 0: not at all. */
  rank: number;
  status: PeerPinStatus;
  /** Of a peer that should do something and is not done; `waitsFor` alone, when it does not say. */
  work: PinWork | { waitsFor: string } | undefined;
}

export interface ExplainNeeds extends PinWorkNeeds {
  peerId: string;
  pinset: Pick<Pinset, 'get'>;
  status: Pick<ClusterStatus, 'pinStatus'>;
  placing: Pick<Placing, 'look'>;
  rpc: Pick<PeerRpc, 'call'>;
  allocateBy: readonly string[];
  clock: Clock;
  timers: Timers;
}

export function explainPin(needs: ExplainNeeds): ExplainPin {
  return async ({ cid, namespace }, call) => {
    // It checks the call, too.
    const status = await needs.status.pinStatus({ cid, namespace, peerIds: [] }, call);
    const stored = needs.pinset.get(pinKey(cid, namespace));
    const look = needs.placing.look();
    const placed = placements(look.place, stored);
    const standings = new Map(look.peers.map((peer) => [peer.peerId, peer]));
    const works = await worksOf(needs, status.peers, cid, call);
    const peers = status.peers.map((word): ExplainedPeer => {
      const peer = standings.get(word.peerId) ?? noMember(word.peerId);
      return {
        peerId: word.peerId,
        peerName: word.peerName,
        isAllocated: stored !== undefined && isAllocatedTo(stored.pin, word.peerId),
        standing: peer.standing,
        reason: peer.reason,
        why: standingWords(peer, needs.allocateBy),
        rank: placed.order.indexOf(word.peerId) + 1,
        status: word,
        work: works.get(word.peerId),
      };
    });
    peers.sort((a, b) => placeOf(a) - placeOf(b));
    return { pin: stored, peers, placedAgain: placed.again, placedAnew: placed.anew, problem: placed.problem };
  };
}

const placeOf = ({ rank }: ExplainedPeer) => (rank === 0 ? Number.POSITIVE_INFINITY : rank);

/** What the allocator says of the pin as it is, and were it new; `order`: all that it would take, best first. */
function placements(place: Place, stored: StoredPin | undefined) {
  const nothing = { order: [], again: [], anew: [], problem: '' };
  if (stored === undefined || stored.pin.replicationMin === everywhere) return nothing;
  const { key, pin } = stored;
  const { allocations: current, replicationMin, replicationMax, userAllocations } = pin;
  const again = { key, replicationMin, replicationMax, current, userAllocations };
  const whole = { ...again, current: [], replicationMin: 1, replicationMax: pinLimits.allocationsMax };
  const { places: order } = attempt(place, whole);
  const { places, problem } = attempt(place, again);
  return { order, again: places, anew: order.length < replicationMin ? [] : order.slice(0, replicationMax), problem };
}

function attempt(place: Place, pin: AllocationInput): { places: string[]; problem: string } {
  try {
    return { places: place(pin), problem: '' };
  } catch (error) {
    if (!isPinfoldError(error, 'NOT_ENOUGH_PEERS')) throw error;
    return { places: [], problem: error.message };
  }
}

const done: readonly PeerPinStatus['status'][] = ['pinned', 'unpinned', 'remote', 'cluster_error'];

async function worksOf(
  needs: ExplainNeeds,
  words: readonly PeerPinStatus[],
  cid: Uint8Array,
  call: CallContext,
): Promise<Map<string, NonNullable<ExplainedPeer['work']>>> {
  const { clock, timers, rpc } = needs;
  const works = new Map<string, NonNullable<ExplainedPeer['work']>>();
  const open = words.filter(({ status }) => !done.includes(status));
  const withinMs = Math.min(PEER_ANSWER_TIMEOUT_MS, answerWithinMs(call, clock.nowMs()));
  using scope = deadlineSignal(timers, withinMs, call.signal);
  await forEachLimited(open, EXPLAIN_ASKED_AT_ONCE, async ({ peerId }) => {
    try {
      const own = peerId === needs.peerId;
      works.set(peerId, own ? ownPinWork(needs, cid) : await askPinWork(rpc, peerId, toV1(cid), scope.signal));
    } catch (error) {
      call.signal.throwIfAborted();
      works.set(peerId, { waitsFor: `it does not say: ${error instanceof Error ? error.message : error}` });
    }
  });
  return works;
}

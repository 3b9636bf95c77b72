import { create } from '@bufbuild/protobuf';
import { RecoverRequestSchema } from '../../gen/pinfold/peer/v1/service_pb.ts';
import { compareBytes } from '../model/bytes.ts';
import type { CallContext } from '../model/call-context.ts';
import { formatCid, toV1 } from '../model/cid.ts';
import { PinfoldError } from '../model/errors.ts';
import { isAllocatedTo } from '../model/pin.ts';
import { pinKey } from '../model/pin-key.ts';
import type { WishStatus } from '../model/status.ts';
import { checkNamespace } from '../model/validate-pin.ts';
import type { Monitor } from '../monitor/monitor.ts';
import type { PeerRpc } from '../network/network.ts';
import type { PinFilter, Pinset } from '../pinset/pinset.ts';
import { unlessCorrupt } from '../pinset/rows.ts';
import { readable } from '../pinset/stored-pin.ts';
import { type Clock, sleep, type Timers } from '../runtime/clock.ts';
import type { Tracker } from '../tracker/tracker.ts';
import { claimStatus, type Named, type PeerPinStatus } from './claim-status.ts';
import { RECOVER_CIDS_MAX } from './constants.ts';
import { withinNamespaces } from './listing.ts';
import { type PeerError, peerError } from './peer-statuses.ts';
import { PinSelection } from './pin-filter.ts';
import { checkNamespaceAllowed } from './pins.ts';
import { decodeStatusCursor, encodeStatusCursor, type StatusCursor } from './status-cursor.ts';
import { isAnyStatus, matchesStatus, type StatusFilter } from './status-filter.ts';
import { headOf, StatusRound, unclaimed } from './status-round.ts';
import { fromStatusRow, isIndexed } from './status-rows.ts';
import { type MergedWish, mergedWishes } from './wish-merge.ts';

/** How far the whole cluster is with its pins, asked at any peer. */
export interface ClusterStatus {
  /**
   * One pin on every peer. A peer that should hold it and does not answer has `cluster_error`. A CID that is not (any more)
   * in the pinset is answered while a node still removes it; else PIN_NOT_FOUND.
   */
  pinStatus(query: PinStatusQuery, call: CallContext): Promise<PinStatus>;
  /**
   * Piece by piece, in constant memory, in key order. With statuses or times: pins of which one of the peers asked says so; what all
   * these peers say of them is shown. Where only rare statuses are asked for, no pinset is walked; then also what is left on a node
   * of a CID that nobody claims is listed (namespace empty), unless the filter says more than CIDs or the caller may not see all.
   */
  listStatuses(query: StatusQuery, call: CallContext): AsyncIterable<StatusPiece>;
  /** Tries again at once what failed, on all members; without CIDs everything. Yields what was put into queues. */
  recover(query: RecoverQuery, call: CallContext): AsyncIterable<Pick<StatusPiece, 'statuses' | 'errors'>>;
}

export interface PinStatus {
  /** Empty: nobody claims the CID. */
  namespace: string;
  cid: Uint8Array;
  name: string;
  allocations: readonly string[];
  /** 0: nobody claims the CID. */
  createdMs: number;
  peers: PeerPinStatus[];
}

export interface PinStatusQuery {
  cid: Uint8Array;
  namespace: string;
  /** Only the word of these; none: of all members. */
  peerIds: readonly string[];
}

export interface StatusQuery extends StatusFilter {
  filter: PinFilter;
  /** Only the word of these; none: of all members. */
  peerIds: readonly string[];
  /** Stop after so many pins; 0: none left. */
  pageSize: number;
  cursor: Uint8Array | undefined;
}

export interface StatusPiece {
  statuses: PinStatus[];
  /** Undefined: that was the last. */
  cursor: Uint8Array | undefined;
  /** Peers whose word is missing from here on; each once a call. */
  errors: PeerError[];
}

export interface RecoverQuery {
  cids: readonly Uint8Array[];
  /** With CIDs: whose claims are shown. Undefined: all that the caller may see. */
  namespace: string | undefined;
}

export interface ClusterStatusNeeds {
  peerId: string;
  pinset: Pick<Pinset, 'get' | 'claims' | 'list'>;
  tracker: Pick<Tracker, 'statuses' | 'listIndexed' | 'recover'>;
  monitor: Pick<Monitor, 'members' | 'member'>;
  rpc: Pick<PeerRpc, 'call'>;
  clock: Clock;
  timers: Timers;
}

export function clusterStatus(needs: ClusterStatusNeeds): ClusterStatus {
  return {
    pinStatus: (query, call) => pinStatus(needs, query, call),
    listStatuses: (query, call) => listStatuses(needs, query, call),
    recover: (query, call) => recover(needs, query, call),
  };
}

async function pinStatus(
  needs: ClusterStatusNeeds,
  { cid, namespace, peerIds }: PinStatusQuery,
  call: CallContext,
): Promise<PinStatus> {
  checkNamespace(namespace);
  checkNamespaceAllowed(namespace, call);
  const stored = needs.pinset.get(pinKey(cid, namespace));
  const round = new StatusRound(needs, peerIds, call);
  if (stored !== undefined) {
    const [status] = await round.ofPins([stored], 'error');
    return status as PinStatus;
  }
  // Other claims on the CID are not the business of this one.
  const isClaimed = needs.pinset.claims(cid).length > 0;
  const left = isClaimed ? undefined : await round.ofUnclaimed([toV1(cid)]);
  const status = left?.[0];
  if (status !== undefined) return { ...status, cid, namespace };
  throw new PinfoldError('PIN_NOT_FOUND', `${formatCid(cid)} is not pinned in the namespace "${namespace}"`);
}

async function* listStatuses(
  needs: ClusterStatusNeeds,
  query: StatusQuery,
  call: CallContext,
): AsyncIterable<StatusPiece> {
  const filter = withinNamespaces(query.filter, call);
  const narrowed = { ...query, filter };
  const start = query.cursor === undefined ? undefined : decodeStatusCursor(narrowed, query.cursor);
  const isRare = query.statuses.length > 0 && query.statuses.every(isIndexed);
  const wantedMode = isRare ? 'wishes' : 'pins';
  if (start !== undefined && start.mode !== wantedMode) {
    throw new PinfoldError('INVALID_CURSOR', 'the cursor is of another listing: list again from the beginning');
  }
  const round = new StatusRound(needs, query.peerIds, call);
  yield* isRare
    ? byWishes(needs, narrowed, start?.mode === 'wishes' ? start : undefined, round, call)
    : byPins(needs, narrowed, start?.mode === 'pins' ? start.cursor : undefined, round, call);
}

/** Walks the pinset; asks the peers for each page, and for the next one while it waits for their answers and sends them. */
async function* byPins(
  needs: ClusterStatusNeeds,
  query: StatusQuery,
  start: Uint8Array | undefined,
  round: StatusRound,
  call: CallContext,
): AsyncIterable<StatusPiece> {
  const isFiltered = !isAnyStatus(query);
  const ask = (cursor: Uint8Array | undefined, most: number) => {
    const limit = Math.min(most, round.pinsPerPiece);
    const from = cursor === undefined ? {} : { cursor };
    const page = needs.pinset.list({ filter: query.filter, order: 'key', limit, ...from });
    round.damaged(page.damaged);
    const statuses = round.ofPins(page.pins, 'leave out');
    statuses.catch(() => {}); // A listing that is left, or fails earlier, does not come to it.
    return { page, statuses };
  };
  let left = query.pageSize === 0 ? Number.POSITIVE_INFINITY : query.pageSize;
  let asked = ask(start, left);
  for (;;) {
    const { page, statuses } = asked;
    const leftBehind = left - page.pins.length;
    // Of a filtered page nobody knows yet how many pins are shown.
    const isAhead = page.cursor !== undefined && (isFiltered ? left === Number.POSITIVE_INFINITY : leftBehind > 0);
    const ahead = isAhead ? ask(page.cursor, leftBehind) : undefined;
    const shown = (await statuses).filter((status) => hasStatus(status, query));
    left -= shown.length;
    const errors = round.takeErrors();
    if (shown.length > 0 || errors.length > 0 || page.cursor === undefined || left <= 0) {
      const cursor = page.cursor && encodeStatusCursor(query, { mode: 'pins', cursor: page.cursor });
      yield { statuses: shown, errors, cursor };
    }
    if (page.cursor === undefined || left <= 0) return;
    await sleep(needs.timers, 0, call.signal);
    asked = ahead ?? ask(page.cursor, left);
  }
}

/** Merges what the peers have indexed; joins it with the claims. */
async function* byWishes(
  needs: ClusterStatusNeeds,
  query: StatusQuery,
  start: (StatusCursor & { mode: 'wishes' }) | undefined,
  round: StatusRound,
  call: CallContext,
): AsyncIterable<StatusPiece> {
  const selection = new PinSelection(query.filter);
  const showUnclaimed = call.namespaces === 'all' && selection.isBare;
  let left = query.pageSize === 0 ? Number.POSITIVE_INFINITY : query.pageSize;
  let wishes: MergedWish[] = [];
  const piece = async (behind: (StatusCursor & { mode: 'wishes' }) | undefined): Promise<StatusPiece> => {
    const found = await round.ofWishes(wishes, selection, showUnclaimed);
    wishes = [];
    const matching = found.filter(({ key, status, wish }) => {
      if (!hasStatus(status, query)) return false;
      if (start?.key === undefined || compareBytes(wish, start.cid) !== 0) return true;
      return key !== undefined && compareBytes(key, start.key) > 0;
    });
    const shown = matching.slice(0, left);
    left -= shown.length;
    const last = shown.at(-1);
    // Cut in the middle: go on behind the last claim that was shown.
    const cut = matching.length > shown.length && last !== undefined;
    const at: StatusCursor | undefined = cut ? { mode: 'wishes', cid: last.wish, key: last.key } : behind;
    const cursor = at && encodeStatusCursor(query, at);
    return { statuses: shown.map(({ status }) => status), errors: round.takeErrors(), cursor };
  };
  // A wish of which some claims were shown comes first; it may have lost the status since.
  if (start?.key !== undefined) wishes.push({ cid: start.cid, words: new Map() });
  const filter = { ...query, statuses: query.statuses.filter(isIndexed) };
  const merge = { peerIds: round.peerIds(), filter, after: start?.cid, wishes: query.pageSize };
  const events = {
    onLost: (peerId: string, error: unknown) => round.lose(peerId, error),
    leftMs: () => round.leftMs(),
  };
  for await (const wish of mergedWishes(needs, merge, events, call.signal)) {
    wishes.push(wish);
    if (wishes.length < Math.min(round.pinsPerPiece, left)) continue;
    const made = await piece({ mode: 'wishes', cid: wish.cid, key: undefined });
    if (made.statuses.length > 0 || made.errors.length > 0) yield made;
    if (left <= 0) return;
  }
  yield await piece(undefined);
}

async function* recover(
  needs: ClusterStatusNeeds,
  query: RecoverQuery,
  call: CallContext,
): AsyncIterable<Pick<StatusPiece, 'statuses' | 'errors'>> {
  if (query.namespace !== undefined) checkNamespace(query.namespace);
  const given = query.namespace === undefined ? {} : { namespaces: [query.namespace] };
  const selection = new PinSelection(withinNamespaces(given, call));
  const round = new StatusRound(needs, [], call);
  const cids = query.cids.map(toV1);
  // A caller that may not see all must not stir up what is not its own.
  const claimed = cids.filter((cid) => needs.pinset.claims(cid).some(({ pin }) => selection.matches(pin)));
  const mayAll = selection.isBare && call.namespaces === 'all';
  if (cids.length === 0 && !mayAll)
    throw new PinfoldError('PERMISSION_DENIED', 'name the CIDs that are to be recovered');
  const asked = mayAll ? cids : claimed;
  if (cids.length > 0 && asked.length === 0) return;
  for (const peer of round.members) {
    try {
      for (let i = 0; i === 0 || i < asked.length; i += RECOVER_CIDS_MAX) {
        for await (const wishes of recoverAt(needs, peer.peerId, asked.slice(i, i + RECOVER_CIDS_MAX), call.signal)) {
          const statuses = wishes.flatMap((wish) => claimsOf(needs, wish, peer, selection, mayAll));
          if (statuses.length > 0) yield { statuses, errors: [] };
        }
      }
    } catch (error) {
      call.signal.throwIfAborted();
      yield { statuses: [], errors: [peerError(needs, peer.peerId, error)] };
    }
  }
}

async function* recoverAt(
  { tracker, rpc, peerId: self }: ClusterStatusNeeds,
  peerId: string,
  cids: readonly Uint8Array[],
  signal: AbortSignal,
): AsyncIterable<WishStatus[]> {
  if (peerId === self) yield* tracker.recover(cids.length === 0 ? undefined : cids, { signal });
  else {
    const request = create(RecoverRequestSchema, { cids: [...cids] });
    for await (const { rows } of rpc.call(peerId, 'recover', [request], { signal })) yield rows.map(fromStatusRow);
  }
}

/** One peer's word on a wish, for each claim on it. */
function claimsOf(
  { pinset }: ClusterStatusNeeds,
  wish: WishStatus,
  peer: Named,
  selection: PinSelection,
  showUnclaimed: boolean,
): PinStatus[] {
  // Where a row is damaged nothing is shown; the wish is tried again all the same, and those behind it.
  const claims = unlessCorrupt(() => pinset.claims(wish.cid).map(readable));
  if (claims === undefined) return [];
  if (claims.length === 0 && showUnclaimed)
    return [{ ...unclaimed(wish.cid), peers: [claimStatus(undefined, peer, wish)] }];
  return claims
    .filter(({ pin }) => isAllocatedTo(pin, peer.peerId) && selection.matches(pin))
    .map(({ pin }) => ({ ...headOf(pin), peers: [claimStatus(pin, peer, wish)] }));
}

function hasStatus({ peers }: PinStatus, filter: StatusFilter): boolean {
  return isAnyStatus(filter) || peers.some((word) => matchesStatus(filter, word));
}

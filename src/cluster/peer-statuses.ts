import { create } from '@bufbuild/protobuf';
import { GetStatusesRequestSchema } from '../../gen/pinfold/peer/v1/service_pb.ts';
import { equalBytes } from '../model/bytes.ts';
import { type ErrorCode, isPinfoldError } from '../model/errors.ts';
import type { WishStatus } from '../model/status.ts';
import type { Monitor } from '../monitor/monitor.ts';
import type { PeerRpc } from '../network/network.ts';
import { deadlineSignal } from '../runtime/abort.ts';
import { sleep, type Timers } from '../runtime/clock.ts';
import type { Tracker } from '../tracker/tracker.ts';
import {
  ASK_ATTEMPTS,
  ASK_PAUSE_MS,
  DOWN_PEER_ANSWER_TIMEOUT_MS,
  PEER_ANSWER_TIMEOUT_MS,
  STATUSES_ASKED_MAX,
} from './constants.ts';
import { answerOf } from './peer-calls.ts';
import { fromStatusRow, wrongAnswer } from './status-rows.ts';

/** A peer whose word is missing. */
export interface PeerError {
  peerId: string;
  peerName: string;
  reason: ErrorCode;
  message: string;
}

export interface PeerStatusesNeeds {
  peerId: string;
  tracker: Pick<Tracker, 'statuses'>;
  rpc: Pick<PeerRpc, 'call'>;
  monitor: Pick<Monitor, 'member'>;
  timers: Timers;
}

/**
 * What a peer says of these wishes (CIDs in version 1), in the order given. Rejects with a PinfoldError when it does not answer in
 * time: within `withinMs`, if that is less than what peers are given.
 */
export async function askStatuses(
  needs: PeerStatusesNeeds,
  peerId: string,
  cids: readonly Uint8Array[],
  signal: AbortSignal,
  withinMs = Number.POSITIVE_INFINITY,
): Promise<WishStatus[]> {
  const wishes: WishStatus[] = [];
  for (let i = 0; i < cids.length; i += STATUSES_ASKED_MAX) {
    const some = cids.slice(i, i + STATUSES_ASKED_MAX);
    wishes.push(
      ...(peerId === needs.peerId
        ? needs.tracker.statuses(some)
        : await askPeer(needs, peerId, some, signal, withinMs)),
    );
  }
  return wishes;
}

/** No rows for a member that cannot be asked: its stream tells that it is lost, and begins anew when it comes back. */
export async function askPatiently(
  needs: PeerStatusesNeeds,
  peerId: string,
  cids: readonly Uint8Array[],
  signal: AbortSignal,
): Promise<WishStatus[]> {
  for (let attempt = 0; attempt < ASK_ATTEMPTS; attempt++) {
    try {
      return await askStatuses(needs, peerId, cids, signal);
    } catch {
      await sleep(needs.timers, ASK_PAUSE_MS * 2 ** attempt, signal);
    }
  }
  return [];
}

async function askPeer(
  { rpc, monitor, timers }: PeerStatusesNeeds,
  peerId: string,
  cids: readonly Uint8Array[],
  outer: AbortSignal,
  withinMs: number,
): Promise<WishStatus[]> {
  const isDown = monitor.member(peerId)?.health === 'down';
  const timeoutMs = isDown ? DOWN_PEER_ANSWER_TIMEOUT_MS : PEER_ANSWER_TIMEOUT_MS;
  using scope = deadlineSignal(timers, Math.min(timeoutMs, withinMs), outer);
  const request = create(GetStatusesRequestSchema, { cids: [...cids] });
  const { rows } = await answerOf(rpc, peerId, 'getStatuses', request, scope.signal);
  if (rows.length !== cids.length) throw wrongAnswer(`${rows.length} rows for ${cids.length} CIDs`);
  return rows.map((row, i) => {
    if (!equalBytes(row.cid, cids[i] as Uint8Array)) throw wrongAnswer('rows for other CIDs');
    return fromStatusRow(row);
  });
}

export function peerError(needs: { monitor: Pick<Monitor, 'member'> }, peerId: string, error: unknown): PeerError {
  const known = isPinfoldError(error) ? error : undefined;
  return {
    peerId,
    peerName: needs.monitor.member(peerId)?.name ?? '',
    reason: known?.code ?? 'INTERNAL',
    message: known?.message ?? String(error),
  };
}

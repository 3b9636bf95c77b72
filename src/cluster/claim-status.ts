import { byteString } from '../model/bytes.ts';
import { toV1 } from '../model/cid.ts';
import { isAllocatedTo, type Pin } from '../model/pin.ts';
import type { ErrorClass, TrackerStatus, WishStatus } from '../model/status.ts';
import type { Member } from '../monitor/monitor.ts';
import type { PeerError } from './peer-statuses.ts';

/** What one peer's word on a wish means for one claim on it. */
export interface PeerPinStatus {
  peerId: string;
  peerName: string;
  status: TrackerStatus;
  /** 0: unknown. */
  sinceMs: number;
  attempts: number;
  errorClass: ErrorClass | undefined;
  error: string;
  retryAtMs: number;
}

/**
 * `remote` where the claim is not allocated; a wish that the peer has no row for is one that waits. What is said of a CID
 * without a claim (`pin` undefined) is passed on as it is.
 */
export function claimStatus(
  pin: Pick<Pin, 'replicationMin' | 'allocations'> | undefined,
  peer: Pick<Member, 'peerId' | 'name'>,
  wish: WishStatus | undefined,
): PeerPinStatus {
  const who = { peerId: peer.peerId, peerName: peer.name };
  const nothing = { sinceMs: 0, attempts: 0, errorClass: undefined, error: '', retryAtMs: 0 };
  if (pin !== undefined && !isAllocatedTo(pin, peer.peerId)) return { ...who, status: 'remote', ...nothing };
  if (wish === undefined) return { ...who, status: 'pin_queued', ...nothing };
  const { status, sinceMs, attempts, errorClass, error, retryAtMs } = wish;
  const isWaiting = pin !== undefined && (status === 'unpinned' || status === 'remote');
  return { ...who, status: isWaiting ? 'pin_queued' : status, sinceMs, attempts, errorClass, error, retryAtMs };
}

/** For a peer that should hold the pin and cannot be asked. */
export function unknownStatus(lost: PeerError): PeerPinStatus {
  return {
    peerId: lost.peerId,
    peerName: lost.peerName,
    status: 'cluster_error',
    sinceMs: 0,
    attempts: 0,
    errorClass: undefined,
    error: lost.message,
    retryAtMs: 0,
  };
}

export type Named = Pick<Member, 'peerId' | 'name'>;

export function wishName(cid: Uint8Array): string {
  return byteString(toV1(cid));
}

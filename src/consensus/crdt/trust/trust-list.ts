import { hash } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { type TrustList as TrustListMessage, TrustListSchema } from '../../../../gen/pinfold/peer/v1/trust_pb.ts';
import { compareBytes } from '../../../model/bytes.ts';
import { formatPeerId, isPeerIdBytes, parsePeerId } from '../../../model/peer-id.ts';
import { TRUSTED_PEERS_MAX } from '../constants.ts';

/** Whose operations and state a peer takes. Itself it takes always, whether listed or not. Never changed once made. */
export interface TrustList {
  /** Sorted as their bytes are; 'all': every peer of the private network. */
  readonly peerIds: readonly string[] | 'all';
  /** SHA-256 of the binary peer IDs, sorted, one after the other; empty: it trusts all. By it a list is known. */
  readonly hash: Uint8Array;
  has(peerId: string): boolean;
}

export const trustsAll: TrustList = { peerIds: 'all', hash: new Uint8Array(0), has: () => true };

/** Throws INVALID_ARGUMENT for what is no peer ID. */
export function trustListOf(peerIds: Iterable<string>): TrustList {
  const ids = new Set(peerIds);
  const sorted = [...ids].map((peerId) => parsePeerId(peerId, 'trusted_peers')).sort(compareBytes);
  return {
    peerIds: sorted.map((bytes) => formatPeerId(bytes)),
    hash: hash('sha256', Buffer.concat(sorted), 'buffer'),
    has: (peerId) => ids.has(peerId),
  };
}

/** As the configuration has it: `*` among the peer IDs means all. */
export function configuredTrust(trustedPeers: readonly string[]): TrustList {
  return trustedPeers.includes('*') ? trustsAll : trustListOf(trustedPeers);
}

/** A list that trusts all needs no message: its hash says it. */
export function trustListMessage({ peerIds }: TrustList): TrustListMessage {
  return create(TrustListSchema, { peerIds: peerIds === 'all' ? [] : peerIds.map((peerId) => parsePeerId(peerId)) });
}

/** Undefined for what is not sorted, too long or has what is no peer ID: no hash of a record would be that of it. */
export function readTrustList({ peerIds }: TrustListMessage): TrustList | undefined {
  if (peerIds.length > TRUSTED_PEERS_MAX || !peerIds.every(isPeerIdBytes)) return undefined;
  const isSorted = peerIds.every((bytes, i) => i === 0 || compareBytes(peerIds[i - 1] as Uint8Array, bytes) < 0);
  return isSorted ? trustListOf(peerIds.map((bytes) => formatPeerId(bytes))) : undefined;
}

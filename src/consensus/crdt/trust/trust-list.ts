import { hash } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { type TrustList as TrustListMessage, TrustListSchema } from '../../../../gen/pinfold/peer/v1/trust_pb.ts';
import { byteString, compareBytes } from '../../../model/bytes.ts';
import { isPeerIdBytes, parsePeerId } from '../../../model/peer-id.ts';
import { peerIdBytes, peerIdText } from '../../../pinset/codec/peer-id.ts';
import { TRUSTED_PEERS_MAX } from '../constants.ts';

/** Whose operations and state a peer takes. Itself it takes always, whether listed or not. Never changed once made. */
export interface TrustList {
  readonly isAll: boolean;
  /** Sorted as their bytes are; 'all': every peer of the private network. Made anew each time it is asked for. */
  readonly peerIds: readonly string[] | 'all';
  /** SHA-256 of the binary peer IDs, sorted, one after the other; empty: it trusts all. By it a list is known. */
  readonly hash: Uint8Array;
  /** As it travels; a list that trusts all needs no message, for its hash says it. */
  readonly message: TrustListMessage;
  has(peerId: string): boolean;
}

export const trustsAll: TrustList = {
  isAll: true,
  peerIds: 'all',
  hash: new Uint8Array(0),
  message: create(TrustListSchema),
  has: () => true,
};

/** Throws INVALID_ARGUMENT for what is no peer ID. */
export function trustListOf(peerIds: Iterable<string>): TrustList {
  const sorted = [...new Set(peerIds)].map((peerId) => parsePeerId(peerId, 'trusted_peers')).sort(compareBytes);
  return new ListedPeers(create(TrustListSchema, { peerIds: sorted }));
}

/** As the configuration has it: `*` among the peer IDs means all. */
export function configuredTrust(trustedPeers: readonly string[]): TrustList {
  return trustedPeers.includes('*') ? trustsAll : trustListOf(trustedPeers);
}

/** Undefined for what is not sorted, too long or has what is no peer ID: no hash of a record would be that of it. */
export function readTrustList(message: TrustListMessage): TrustList | undefined {
  const { peerIds } = message;
  if (peerIds.length > TRUSTED_PEERS_MAX || !peerIds.every(isPeerIdBytes)) return undefined;
  const isSorted = peerIds.every((bytes, i) => i === 0 || compareBytes(peerIds[i - 1] as Uint8Array, bytes) < 0);
  return isSorted ? new ListedPeers(message) : undefined;
}

/** A Hello may bring hundreds of lists of a thousand: what is made of them is made when it is asked for. */
class ListedPeers implements TrustList {
  readonly isAll = false;
  readonly message: TrustListMessage;
  readonly hash: Uint8Array;
  #keys: Set<string> | undefined;

  constructor(message: TrustListMessage) {
    this.message = message;
    this.hash = hash('sha256', Buffer.concat(message.peerIds), 'buffer');
  }

  get peerIds(): string[] {
    return this.message.peerIds.map(peerIdText);
  }

  has(peerId: string): boolean {
    this.#keys ??= new Set(this.message.peerIds.map(byteString));
    return this.#keys.has(byteString(peerIdBytes(peerId)));
  }
}

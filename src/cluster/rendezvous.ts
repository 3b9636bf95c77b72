import { hash } from 'node:crypto';
import { compareBytes } from '../model/bytes.ts';

/**
 * Peers in the order in which they are to act on something, the same at all peers that know the same peers: by
 * SHA-256(subject, peer ID). (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998.)
 */
export function rendezvousOrder(subject: Uint8Array, peerIds: readonly string[]): string[] {
  const ranked = peerIds.map((peerId) => ({
    peerId,
    rank: hash('sha256', Buffer.concat([subject, Buffer.from(peerId)]), 'buffer'),
  }));
  return ranked.sort((a, b) => compareBytes(a.rank, b.rank)).map(({ peerId }) => peerId);
}

import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';

/** Addresses that name a peer, grouped by it. Others are left out: who answers there could not be told. Parsed only when dialled. */
export function sourcesByPeer(addresses: readonly string[]): Map<string, string[]> {
  const peers = new Map<string, string[]>();
  for (const address of addresses) {
    const peerId = /\/p2p\/([^/]+)$/.exec(address)?.[1];
    if (peerId === undefined) continue;
    const known = peers.get(peerId);
    if (known === undefined) peers.set(peerId, [address]);
    else known.push(address);
  }
  return peers;
}

/** Of more than may be dialled at once, the next ones with each call. */
export class DialTurns {
  #turn = 0;

  take<T>(all: readonly T[], most: number): readonly T[] {
    if (all.length <= most) return all;
    const from = this.#turn % all.length;
    this.#turn = from + most;
    return [...all.slice(from), ...all.slice(0, from)].slice(0, most);
  }
}

/** Nothing for what is no multiaddr: the others of that node may be right. */
export function parsedAddress(address: string): Multiaddr[] {
  try {
    return [multiaddr(address)];
  } catch {
    return [];
  }
}

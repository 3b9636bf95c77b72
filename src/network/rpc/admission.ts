import type { PeerMethod } from '../peer-methods.ts';

/** Counts calls under way, in total and for each peer, and lets no more in than the limits. */
export class Admission {
  readonly #total = new Map<PeerMethod, number>();
  readonly #perPeer = new Map<string, number>();

  /** Returns what releases the place (once), or undefined when there is none. */
  enter(method: PeerMethod, peerId: string, limits: { max: number; perPeerMax: number }): (() => void) | undefined {
    const key = `${method} ${peerId}`;
    if (this.count(method) >= limits.max) return undefined;
    if ((this.#perPeer.get(key) ?? 0) >= limits.perPeerMax) return undefined;
    change(this.#total, method, 1);
    change(this.#perPeer, key, 1);
    let released = false;
    return () => {
      if (released) return;
      released = true;
      change(this.#total, method, -1);
      change(this.#perPeer, key, -1);
    };
  }

  count(method: PeerMethod): number {
    return this.#total.get(method) ?? 0;
  }
}

function change<K>(counts: Map<K, number>, key: K, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}

import { Allowance } from '../../runtime/allowance.ts';
import { RPC_ALLOWANCES_MAX } from '../constants.ts';
import type { PeerMethod, PeerMethodRow } from '../peer-methods.ts';

/** Counts calls under way, in total and for each peer, and lets no more in than the limits. */
export class Admission {
  readonly #total = new Map<PeerMethod, number>();
  readonly #perPeer = new Map<string, number>();
  readonly #allowances = new Map<string, Allowance>();

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

  /** Whether that caller may begin one more call now; counted even if there is no place for it. */
  isAllowed(
    method: PeerMethod,
    peerId: string,
    { burst, everyMs }: Pick<PeerMethodRow, 'burst' | 'everyMs'>,
    nowMs: number,
  ): boolean {
    const key = `${method} ${peerId}`;
    const allowance = this.#allowances.get(key) ?? new Allowance(burst, everyMs, nowMs);
    // The last used is the last in the map, and the first goes: it is full again, or its caller is one of thousands.
    this.#allowances.delete(key);
    this.#allowances.set(key, allowance);
    const [oldest] = this.#allowances.size > RPC_ALLOWANCES_MAX ? this.#allowances.keys() : [];
    if (oldest !== undefined) this.#allowances.delete(oldest);
    return allowance.take(nowMs);
  }

  /** Callers whose calls are counted in time, each with each method. */
  get remembered(): number {
    return this.#allowances.size;
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

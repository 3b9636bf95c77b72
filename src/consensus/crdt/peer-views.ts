import { CLOCK_SKEW_AGE_MS, CLOCK_SKEW_PEERS_MIN, DUPLICATE_IDENTITY_MS } from './constants.ts';

/** What the last Hello of a peer said. */
export interface PeerView {
  readonly peerId: string;
  readonly ridText: string;
  readonly isEmpty: boolean;
  readonly isFollower: boolean;
  readonly level: number;
  /** Its wall clock minus ours, milliseconds, the way of the message left out. */
  readonly offsetMs: number;
  /** Monotonic. */
  readonly heardMs: number;
}

/** What this peer heard of the others. */
export class PeerViews {
  readonly #views = new Map<string, PeerView>();
  /** When each replica of a peer was last heard as its current one (N5). */
  readonly #replicas = new Map<string, Map<string, number>>();

  /** True: two processes use one identity (N5). */
  heard(view: PeerView): boolean {
    const before = this.#views.get(view.peerId);
    const replicas = this.#replicas.get(view.peerId) ?? new Map<string, number>();
    const lastMs = replicas.get(view.ridText);
    this.#views.set(view.peerId, view);
    this.#replicas.set(view.peerId, replicas.set(view.ridText, view.heardMs));
    // An older one that comes back: a new incarnation alone goes one way.
    return (
      before !== undefined &&
      before.ridText !== view.ridText &&
      lastMs !== undefined &&
      view.heardMs - lastMs < DUPLICATE_IDENTITY_MS
    );
  }

  get(peerId: string): PeerView | undefined {
    return this.#views.get(peerId);
  }

  /** It must say Hello again before it counts. */
  forget(peerId: string): void {
    this.#views.delete(peerId);
  }

  /** Median of how far the others' clocks are from ours; undefined: too few were heard of lately (C4). */
  skewMs(nowMs: number): number | undefined {
    const offsets = [...this.#views.values()]
      .filter(({ heardMs, isFollower }) => !isFollower && nowMs - heardMs <= CLOCK_SKEW_AGE_MS)
      .map(({ offsetMs }) => offsetMs)
      .sort((a, b) => a - b);
    if (offsets.length < CLOCK_SKEW_PEERS_MIN) return undefined;
    const upper = offsets[Math.floor(offsets.length / 2)] as number;
    const lower = offsets[Math.floor((offsets.length - 1) / 2)] as number;
    return (upper + lower) / 2;
  }
}

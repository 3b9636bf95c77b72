import {
  CLOCK_SKEW_AGE_MS,
  CLOCK_SKEW_PEERS_MIN,
  DUPLICATE_IDENTITY_MS,
  PEER_PROCESSES_MAX,
  PEER_VIEWS_MAX,
} from './constants.ts';

/** What the last Hello of a peer said. */
export interface PeerView {
  readonly peerId: string;
  readonly ridText: string;
  /** Of its process. */
  readonly boot: string;
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
  /** When each process of a peer was last heard (N5): the last few. */
  readonly #processes = new Map<string, Map<string, number>>();
  readonly #doubleUntilMs = new Map<string, number>();

  /**
   * Whether it was another process before (`other`), and whether two at once use that identity (`two`, N5): one that was replaced
   * comes back, where a restart alone goes one way.
   */
  heard(view: PeerView): 'same' | 'other' | 'two' {
    const { peerId, boot, heardMs } = view;
    const before = this.#views.get(peerId);
    const processes = this.#processes.get(peerId) ?? new Map<string, number>();
    const lastMs = processes.get(boot);
    this.#views.delete(peerId); // The last heard is the last in the map.
    this.#views.set(peerId, view);
    for (const [other, atMs] of processes) if (heardMs - atMs >= DUPLICATE_IDENTITY_MS) processes.delete(other);
    this.#processes.delete(peerId);
    this.#processes.set(peerId, processes.set(boot, heardMs));
    forgetOldest(processes, PEER_PROCESSES_MAX);
    forgetOldest(this.#views, PEER_VIEWS_MAX);
    forgetOldest(this.#processes, PEER_VIEWS_MAX);
    forgetOldest(this.#doubleUntilMs, PEER_VIEWS_MAX);
    if (before === undefined || before.boot === boot) return 'same';
    if (lastMs === undefined || heardMs - lastMs >= DUPLICATE_IDENTITY_MS) return 'other';
    this.#doubleUntilMs.set(peerId, heardMs + DUPLICATE_IDENTITY_MS);
    return 'two';
  }

  /** Two processes with that identity were heard within the last minute. */
  isDouble(peerId: string, nowMs: number): boolean {
    return nowMs < (this.#doubleUntilMs.get(peerId) ?? Number.NEGATIVE_INFINITY);
  }

  get size(): number {
    return this.#views.size;
  }

  get(peerId: string): PeerView | undefined {
    return this.#views.get(peerId);
  }

  all(): Iterable<PeerView> {
    return this.#views.values();
  }

  /** It must say Hello again before it counts. */
  forget(peerId: string): void {
    this.#views.delete(peerId);
  }

  /**
   * Median of how far the others' clocks are from ours, of two middle ones the nearer: a single mad clock of two must not keep this
   * peer from writing. Undefined: too few were heard of lately (C4).
   */
  skewMs(nowMs: number): number | undefined {
    const offsets = [...this.#views.values()]
      .filter(({ heardMs, isFollower }) => !isFollower && nowMs - heardMs <= CLOCK_SKEW_AGE_MS)
      .map(({ offsetMs }) => offsetMs)
      .sort((a, b) => a - b);
    if (offsets.length < CLOCK_SKEW_PEERS_MIN) return undefined;
    const upper = offsets[Math.floor(offsets.length / 2)] as number;
    const lower = offsets[Math.floor((offsets.length - 1) / 2)] as number;
    return Math.abs(lower) < Math.abs(upper) ? lower : upper;
  }
}

function forgetOldest<T>(map: Map<string, T>, max: number): void {
  for (const key of map.keys()) {
    if (map.size <= max) return;
    map.delete(key);
  }
}

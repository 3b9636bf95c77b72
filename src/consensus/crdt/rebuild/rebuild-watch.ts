import type { Timer, Timers } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/logger.ts';
import type { Alerts } from '../alerts.ts';
import { REBUILD_LOOK_MS } from '../constants.ts';
import { type Clock, covers } from '../core/clocks.ts';
import { hearsOnlyFullNeeded, type SyncNews } from '../core/rebuild-need.ts';
import type { CrdtOptions } from '../options.ts';
import type { CrdtStore } from '../state/store.ts';
import type { Rebuilder } from './rebuilder.ts';

export interface RebuildWatchNeeds {
  options: Pick<CrdtOptions, 'rebuildPatienceMs'>;
  store: CrdtStore;
  rebuilder: Rebuilder;
  alerts: Alerts;
  timers: Timers;
  logger: Logger;
  /** Reachable trusted peers that state is taken from. */
  sources(): string[];
  /** Whether a rebuild may begin now: the peer is ready. */
  isOpen(): boolean;
  /** After a swap: whoever waits for more than C covered looks again. */
  onRebuilt(): void;
}

interface Heard {
  news: SyncNews;
  /** Of a FULL_NEEDED: it counts as long as C does not cover them. */
  floors: Clock;
}

const noFloors: Clock = new Map();

/** Rebuilds a peer that for a minute has heard nothing but FULL_NEEDED from those that have what it lacks (4.6). */
export class RebuildWatch {
  readonly #needs: RebuildWatchNeeds;
  readonly #heard = new Map<string, Heard>();
  readonly #abort = new AbortController();
  #sinceMs: number | undefined;
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;

  constructor(needs: RebuildWatchNeeds) {
    this.#needs = needs;
  }

  /** Goes on with the shadow that stands. */
  start(): void {
    if (this.#needs.rebuilder.isBegun) this.#rebuild();
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#abort.abort(new Error('stopped'));
    await this.#running;
  }

  heard(peerId: string, news: SyncNews, floors = noFloors): void {
    this.#heard.set(peerId, { news, floors });
    if (news === 'full-needed') {
      const message = 'its log does not reach back to what this peer has: a rebuild follows if no other can help';
      this.#needs.alerts.raise('REBUILD_NEEDED', peerId, message);
    }
    this.#look();
  }

  /** A Sync with it broke off. */
  broke(peerId: string): void {
    if (this.#heard.get(peerId)?.news === 'serving') this.#heard.delete(peerId);
  }

  /** Its log does not reach back to what this peer has. */
  isCut(peerId: string): boolean {
    const heard = this.#heard.get(peerId);
    return heard?.news === 'full-needed' && !covers(this.#needs.store.replicas.clock, heard.floors);
  }

  #look(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#abort.signal.aborted) return;
    this.#settle();
    const { clock } = this.#needs.store.needs;
    if (this.#isNeeded) this.#sinceMs ??= clock.monotonicMs();
    else this.#sinceMs = undefined;
    if (this.#sinceMs !== undefined && clock.monotonicMs() - this.#sinceMs >= this.#needs.options.rebuildPatienceMs) {
      this.#rebuild();
    }
    if (![...this.#heard.values()].some(({ news }) => news === 'full-needed')) return;
    const lookMs = Math.min(REBUILD_LOOK_MS, this.#needs.options.rebuildPatienceMs);
    this.#timer = this.#needs.timers.after(lookMs, () => this.#look());
  }

  /** What a log was needed for has come another way. */
  #settle(): void {
    const clock = this.#needs.store.replicas.clock;
    for (const [peerId, { news, floors }] of this.#heard) {
      if (news === 'full-needed' && covers(clock, floors)) this.#heard.set(peerId, { news: 'nothing-new', floors });
      if (this.#heard.get(peerId)?.news === 'nothing-new') this.#needs.alerts.clear('REBUILD_NEEDED', peerId);
    }
  }

  get #isNeeded(): boolean {
    const reached = this.#needs.sources().map((peerId) => this.#heard.get(peerId)?.news);
    return hearsOnlyFullNeeded(reached.filter((news) => news !== undefined));
  }

  #rebuild(): void {
    const { rebuilder, logger, isOpen } = this.#needs;
    if (this.#running !== undefined || !isOpen()) return;
    this.#running = rebuilder
      .run(this.#abort.signal)
      .then((result) => this.#ended(result))
      .catch((failure) => {
        if (!this.#abort.signal.aborted) logger.error('the rebuild failed', { error: String(failure) });
      })
      .finally(() => {
        this.#running = undefined;
      });
  }

  #ended(result: 'swapped' | 'discarded'): void {
    this.#sinceMs = undefined;
    if (result === 'swapped') this.#needs.onRebuilt();
    this.#look();
  }
}

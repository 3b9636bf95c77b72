import type { Clock, Timers } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/logger.ts';
import { mark } from '../../../runtime/mark.ts';
import { JOIN_PATIENCE_MS, REBUILD_RETRY_MS } from '../constants.ts';
import type { PeerView } from '../peer-views.ts';
import type { CrdtStore } from '../state/store.ts';
import type { Rebuilder } from './rebuilder.ts';

export interface EntranceNeeds {
  store: CrdtStore;
  rebuilder: Rebuilder;
  clock: Clock;
  timers: Timers;
  logger: Logger;
  /** It was given no peers to begin with. */
  isFirst(): boolean;
  /** Trusted peers that are connected. */
  reached(): string[];
  view(peerId: string): PeerView | undefined;
  onReady(): void;
}

/**
 * Decides whether this peer joins, or begins. With an empty store it
 *
 *   joins   as soon as a trusted peer says that its store is not empty
 *   begins  if it has no bootstrap peers; or if all trusted peers it is connected with have said that theirs is empty, too;
 *           or if for a minute no peer has said otherwise: it reached nobody, or those it did say nothing
 *
 * So the peers of a fresh cluster are ready at once, and nobody stays joining for ever: a peer that begins beside a cluster
 * loses nothing by it, since what it writes is merged when they meet. With a store that is not empty it is ready at once, but where
 * a crash came into a join, which goes on.
 */
export class Entrance {
  readonly #needs: EntranceNeeds;
  readonly #abort = new AbortController();
  #running: Promise<void> | undefined;
  #wake: (() => void) | undefined;

  constructor(needs: EntranceNeeds) {
    this.#needs = needs;
  }

  start(): void {
    const { store, rebuilder, isFirst, onReady } = this.#needs;
    if (rebuilder.isJoin) this.join();
    else if (!store.replicas.isEmpty || isFirst()) onReady();
    else this.#run(() => this.#decide());
  }

  /** Fills a shadow, whatever the rule above says. */
  join(): void {
    this.#run(() => this.#join());
  }

  /** Something that the decision rests on has changed. */
  wake(): void {
    this.#wake?.();
  }

  async stop(): Promise<void> {
    this.#abort.abort(new Error('stopped'));
    this.#wake?.();
    await this.#running;
  }

  #run(what: () => Promise<void>): void {
    this.#running = what().catch((failure) => {
      if (!this.#abort.signal.aborted) this.#needs.logger.error('joining failed', { error: String(failure) });
    });
  }

  async #decide(): Promise<void> {
    const { clock, logger, reached, view, store, onReady } = this.#needs;
    const sinceMs = clock.monotonicMs();
    while (!this.#abort.signal.aborted) {
      const peers = reached();
      const views = peers.map(view);
      if (views.some((other) => other?.isEmpty === false && !other.isFollower)) return this.#join();
      const allSaid = peers.length > 0 && views.every((other) => other !== undefined);
      if (allSaid || !store.replicas.isEmpty) return onReady();
      if (clock.monotonicMs() - sinceMs >= JOIN_PATIENCE_MS) {
        mark('crdt entrance: begins beside others that are not reached');
        logger.warn('no other peer with a pinset was heard of: beginning with an empty one', {
          connected: peers.length,
        });
        return onReady();
      }
      await this.#wait();
    }
  }

  async #join(): Promise<void> {
    const { rebuilder, store } = this.#needs;
    const result = await rebuilder.run(this.#abort.signal);
    if (result === 'swapped' || !store.replicas.isEmpty) return this.#needs.onReady();
    return this.#decide();
  }

  #wait(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#needs.timers.after(REBUILD_RETRY_MS, () => this.#wake?.());
      this.#wake = () => {
        this.#wake = undefined;
        timer.cancel();
        resolve();
      };
    });
  }
}

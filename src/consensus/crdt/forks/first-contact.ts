import type { Timer, Timers } from '../../../runtime/clock.ts';
import type { Logger } from '../../../runtime/logger.ts';
import type { CrdtStore } from '../state/store.ts';

export interface FirstContactNeeds {
  options: { restartCompareTimeoutMs: number };
  store: CrdtStore;
  timers: Timers;
  logger: Logger;
  /** Whether this peer was told of others, by its configuration or by what it remembers. */
  knowsOthers(): boolean;
  isTrusted(peerId: string): boolean;
  /** Connected trusted peers. */
  reached(): string[];
  /** Lets the writes go that have waited. */
  onOver(): void;
}

/**
 * N3: a store that was put back in its place looks like the one that was there (N1), and what it writes before it meets the others
 * is a fork. So a peer that starts with pins compares clocks with whom it reaches before it writes: with all authors that its clock
 * names and all that acknowledged something lately, or with those it has reached when a few seconds are over. Alone, it goes on after that.
 */
export class FirstContact {
  readonly #needs: FirstContactNeeds;
  readonly #compared = new Set<string>();
  #timer: Timer | undefined;
  #isOver = false;

  constructor(needs: FirstContactNeeds) {
    this.#needs = needs;
  }

  /** Before it is over no own operation is written. */
  get isOver(): boolean {
    return this.#isOver;
  }

  start(): void {
    const { options, store, timers, logger, knowsOthers } = this.#needs;
    const isAlone = this.#others().length === 0 && !knowsOthers();
    if (store.replicas.isEmpty || isAlone || options.restartCompareTimeoutMs === 0) {
      this.#over();
      return;
    }
    this.#timer = timers.after(options.restartCompareTimeoutMs, () => {
      logger.info('writes are taken before all others were reached', { compared: this.#compared.size });
      this.#over();
    });
  }

  /** Hello was exchanged with that peer, and the clocks if they differed. */
  compared(peerId: string): void {
    if (this.#isOver) return;
    this.#compared.add(peerId);
    const wanted = [...this.#others(), ...this.#needs.reached()];
    if (wanted.every((peer) => this.#compared.has(peer))) this.#over();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** Authors in the clock, and who acknowledged something in the last day. */
  #others(): string[] {
    const { store, isTrusted } = this.#needs;
    const authors = store.replicas.sorted().filter(({ sequence }) => sequence > 0);
    const holders = store.acks.holders().filter(({ peerId }) => peerId !== store.needs.peerId);
    const others = [...authors.filter((replica) => !store.isOwn(replica)), ...holders];
    return others.map(({ peerId }) => peerId).filter(isTrusted);
  }

  #over(): void {
    this.#timer?.cancel();
    this.#isOver = true;
    this.#needs.onOver();
  }
}

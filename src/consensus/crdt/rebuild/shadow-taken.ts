import type { Taken, TakenClock } from '../core/judge.ts';
import type { IncEntry } from '../core/types.ts';

const nothing = { sequence: 0, hash: new Uint8Array(0) };

/** C' and H' with what the store knows of forks: a branch that was given up must not come back by a shadow (N4). */
export class ShadowTaken implements TakenClock {
  readonly #shadow: TakenClock;
  readonly #store: Pick<TakenClock, 'taken'>;

  constructor(shadow: TakenClock, store: Pick<TakenClock, 'taken'>) {
    this.#shadow = shadow;
    this.#store = store;
  }

  taken(ridText: string): Taken | undefined {
    const taken = this.#shadow.taken(ridText);
    const known = this.#store.taken(ridText);
    if (known === undefined) return taken;
    const { sequence, hash } = taken ?? nothing;
    return { ...known, sequence, hash, frozen: '' };
  }

  covers(entry: IncEntry): boolean {
    return this.#shadow.covers(entry);
  }
}

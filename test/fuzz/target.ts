import type { SimRandom } from '../sim/world/sim-random.ts';

/** What is fed with random input. */
export interface Target {
  says: string;
  /** One input, made from this alone. Rejects when a promise is broken. */
  run(random: SimRandom, options: { signal: AbortSignal }): Promise<Outcome>;
}

/** For the counts: that a fuzzer is only ever refused, or never, is a fuzzer that finds nothing. */
export type Outcome = 'taken' | 'refused';

import { randomFillSync } from 'node:crypto';

/** The only source of randomness; the simulator puts a seeded one in its place. */
export interface Random {
  /** `length` fresh random bytes. */
  bytes(length: number): Uint8Array;
  /** In [0, 1). */
  float(): number;
}

export const systemRandom: Random = {
  bytes: (length) => randomFillSync(new Uint8Array(length)),
  float: () => Math.random(),
};

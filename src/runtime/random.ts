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

/** Every order is as likely. */
export function shuffled<T>(random: Pick<Random, 'float'>, items: readonly T[]): T[] {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random.float() * (i + 1));
    [order[i], order[j]] = [order[j] as T, order[i] as T];
  }
  return order;
}

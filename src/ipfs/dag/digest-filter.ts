import { digestWords } from './digest-set.ts';

const BITS = 2 ** 25;

/**
 * A Bloom filter of byte strings in 4 MiB, however many there are: what it does not have was never added. What it has may not have
 * been: of a million strings it takes 1 in 10,000 others for one of them, of four million 1 in 50, of a hundred million all.
 */
export class DigestFilter {
  readonly #bits = new Uint32Array(BITS / 32);

  /** Whether it may have been there before. */
  add(bytes: Uint8Array): boolean {
    let mayBeThere = true;
    for (const word of digestWords(bytes)) {
      const at = (word % BITS) >>> 5;
      const mask = 1 << (word & 31);
      const bits = this.#bits[at] as number;
      if ((bits & mask) === 0) mayBeThere = false;
      this.#bits[at] = bits | mask;
    }
    return mayBeThere;
  }
}

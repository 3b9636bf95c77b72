import { digestWords } from './digest-set.ts';

const BITS = 2 ** 25;

/**
 * A Bloom filter of byte strings in 4 MiB, however many there are: what it does not have was never added. What it has may not have
 * been: of a million strings it takes 1 in 10,000 others for one of them, of four million 1 in 50, of a hundred million all.
 */
export class DigestFilter {
  readonly #bits = new Uint32Array(BITS / 32);

  add(bytes: Uint8Array): void {
    for (const word of digestWords(bytes)) {
      const bit = word % BITS;
      this.#bits[bit >>> 5] = (this.#bits[bit >>> 5] as number) | (1 << (bit & 31));
    }
  }

  mayHave(bytes: Uint8Array): boolean {
    return digestWords(bytes).every((word) => {
      const bit = word % BITS;
      return ((this.#bits[bit >>> 5] as number) & (1 << (bit & 31))) !== 0;
    });
  }
}

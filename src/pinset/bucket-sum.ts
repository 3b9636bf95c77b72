import { DIGEST_BYTES } from './codec/feed-row.ts';

const wordsPerSum = 4;
const word = 2 ** 32;

/** Whether the digest at that place is the one of a bucket without rows. */
export function isOfNothing(digests: Uint8Array, at: number): boolean {
  for (let i = at; i < at + DIGEST_BYTES; i++) if (digests[i] !== 0) return false;
  return true;
}

/**
 * The sum of the hashes of one bucket's rows as they are read, mod 2^128, to be held against its digest. Words of 32 bits in numbers: they
 * stay exact for the first two million rows, and are brought into shape when they are asked for.
 */
export class BucketSum {
  readonly #words = new Float64Array(wordsPerSum);
  #isEmpty = true;

  /** A hash of `rowHashString`. */
  add(hash: string): void {
    this.#isEmpty = false;
    for (let i = 0; i < wordsPerSum; i++) {
      const at = 4 * i;
      (this.#words[i] as number) +=
        hash.charCodeAt(at) * 0x1000000 +
        ((hash.charCodeAt(at + 1) << 16) | (hash.charCodeAt(at + 2) << 8) | hash.charCodeAt(at + 3));
    }
  }

  /** Whether it is the digest at that place, 16 bytes, big-endian. */
  equals(digests: Uint8Array, at: number): boolean {
    if (this.#isEmpty) return isOfNothing(digests, at); // Most of them, in a small pinset.
    let carry = 0;
    for (let i = wordsPerSum - 1; i >= 0; i--) {
      const sum = (this.#words[i] as number) + carry;
      carry = Math.floor(sum / word);
      const low = sum % word;
      for (let byte = 0; byte < 4; byte++) {
        if (digests[at + 4 * i + 3 - byte] !== (Math.floor(low / 2 ** (8 * byte)) & 255)) return false;
      }
    }
    return true;
  }

  clear(): void {
    if (this.#isEmpty) return;
    this.#words.fill(0);
    this.#isEmpty = true;
  }
}

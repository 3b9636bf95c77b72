import { hash } from 'node:crypto';

const WORDS = 4;
const FILL_MAX = 0.75;

/**
 * A set of byte strings that keeps 16 bytes of SHA-256 of each and nothing else: a walk of millions of blocks costs tens of
 * bytes a block, and no garbage. Two strings taken for one need 2^64 tries.
 */
export class DigestSet {
  readonly #entriesMax: number;
  #slots = new Uint32Array(1024 * WORDS);
  #size = 0;

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  get size(): number {
    return this.#size;
  }

  has(bytes: Uint8Array): boolean {
    return this.#isAt(this.#find(fingerprint(bytes)));
  }

  /** Whether it was new. Throws RangeError when the set is full. */
  add(bytes: Uint8Array): boolean {
    return this.#insert(fingerprint(bytes));
  }

  addAll(other: DigestSet): void {
    for (let slot = 0; slot < other.#slots.length; slot += WORDS) {
      if (other.#isAt(slot)) this.#insert(other.#slots.subarray(slot, slot + WORDS));
    }
  }

  #insert(print: Uint32Array): boolean {
    const slot = this.#find(print);
    if (this.#isAt(slot)) return false;
    if (this.#size >= this.#entriesMax) throw new RangeError(`more than ${this.#entriesMax} blocks`);
    this.#slots.set(print, slot);
    this.#size++;
    if (this.#size * WORDS > this.#slots.length * FILL_MAX) this.#grow();
    return true;
  }

  /** The slot that holds it, or the empty one where it belongs. */
  #find(print: Uint32Array): number {
    const slots = this.#slots;
    const mask = slots.length / WORDS - 1;
    for (let index = (print[1] as number) & mask; ; index = (index + 1) & mask) {
      const at = index * WORDS;
      if (slots[at] === 0) return at;
      if (
        slots[at] === print[0] &&
        slots[at + 1] === print[1] &&
        slots[at + 2] === print[2] &&
        slots[at + 3] === print[3]
      ) {
        return at;
      }
    }
  }

  #isAt(slot: number): boolean {
    return this.#slots[slot] !== 0;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(old.length * 2);
    for (let at = 0; at < old.length; at += WORDS) {
      if (old[at] === 0) continue;
      const print = old.subarray(at, at + WORDS);
      this.#slots.set(print, this.#find(print));
    }
  }
}

/** The first word is never 0, which marks an empty slot. */
function fingerprint(bytes: Uint8Array): Uint32Array {
  const print = digestWords(bytes);
  print[0] = print[0] === 0 ? 1 : (print[0] as number);
  return print;
}

/** 16 bytes of SHA-256. */
export function digestWords(bytes: Uint8Array): Uint32Array {
  const digest = hash('sha256', bytes, 'buffer');
  const words = new Uint32Array(WORDS);
  for (let word = 0; word < WORDS; word++) words[word] = digest.readUInt32LE(word * 4);
  return words;
}

/**
 * States told apart by a 64-bit hash, open addressing. At ten million states the chance that two of them are taken for one is
 * about 3 in a million.
 */
export class StateSet {
  #low: Uint32Array;
  #high: Uint32Array;
  #mask: number;
  size = 0;

  constructor(capacity = 1 << 16) {
    this.#low = new Uint32Array(capacity);
    this.#high = new Uint32Array(capacity);
    this.#mask = capacity - 1;
  }

  /** Hash of the state added last. */
  hash = 0;

  /** False: it was there. */
  add(state: Int32Array): boolean {
    let a = 0x9e3779b9;
    let b = 0x85ebca6b;
    for (let i = 0; i < state.length; i++) {
      const n = state[i] as number;
      a = Math.imul(a ^ n, 0xcc9e2d51);
      a = (a << 15) | (a >>> 17);
      b = Math.imul(b + n, 0x1b873593) ^ (b >>> 13);
      b = Math.imul((b << 13) | (b >>> 19), 5) + a;
    }
    const low = mixed(a ^ (b >>> 7)) | 1; // 0 is an empty place.
    const high = mixed(Math.imul(b, 0xc2b2ae35) + a);
    this.hash = high >>> 0;
    return this.#insert(low >>> 0, high >>> 0);
  }

  #insert(low: number, high: number): boolean {
    let at = high & this.#mask;
    while (this.#low[at] !== 0) {
      if (this.#low[at] === low && this.#high[at] === high) return false;
      at = (at + 1) & this.#mask;
    }
    this.#low[at] = low;
    this.#high[at] = high;
    if (++this.size * 2 > this.#mask) this.#grow();
    return true;
  }

  #grow(): void {
    const [low, high] = [this.#low, this.#high];
    const capacity = low.length * 2;
    this.#low = new Uint32Array(capacity);
    this.#high = new Uint32Array(capacity);
    this.#mask = capacity - 1;
    this.size = 0;
    for (let i = 0; i < low.length; i++) if (low[i] !== 0) this.#insert(low[i] as number, high[i] as number);
  }
}

function mixed(n: number): number {
  let h = n ^ (n >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}

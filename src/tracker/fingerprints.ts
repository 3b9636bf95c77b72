/** A set of wishes by 64 bits of their digest, in constant memory: 16 bytes a wish that fits. */
export class Fingerprints {
  readonly #slots: Uint32Array;
  readonly #mask: number;

  constructor(wishesMax: number) {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(16, wishesMax * 2)));
    this.#slots = new Uint32Array(slots * 2);
    this.#mask = slots - 1;
  }

  add(cid: Uint8Array): void {
    const [high, low] = halves(cid);
    const at = this.#find(high, low);
    this.#slots[at] = high;
    this.#slots[at + 1] = low;
  }

  has(cid: Uint8Array): boolean {
    const [high, low] = halves(cid);
    return this.#slots[this.#find(high, low)] === high;
  }

  #find(high: number, low: number): number {
    for (let slot = low & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const at = slot * 2;
      const isFree = this.#slots[at] === 0 && this.#slots[at + 1] === 0;
      if (isFree || (this.#slots[at] === high && this.#slots[at + 1] === low)) return at;
    }
  }
}

/** Two hashes of all bytes (FNV-1a and a multiplicative one); never zero. */
function halves(cid: Uint8Array): [high: number, low: number] {
  let high = 0x811c9dc5;
  let low = 0x9e3779b9;
  for (const byte of cid) {
    high = Math.imul(high ^ byte, 0x01000193);
    low = Math.imul(low ^ byte, 0x85ebca6b);
    low ^= low >>> 13;
  }
  return [(high | 1) >>> 0, low >>> 0];
}

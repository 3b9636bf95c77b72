import { endianness } from 'node:os';

/**
 * XSalsa20 as a stream, https://cr.yp.to/snuffle/xsalsa-20110204.pdf. The package that libp2p's protector uses keeps one WebAssembly
 * memory for all connections of the process: when one of them grows it, all others lose their view and
 * grow it again, until at 64 MiB the process ends.
 */
export class XSalsa20 {
  readonly #state = new Uint32Array(16);
  #position = 0;

  /** `nonce` has 24 bytes, `key` 32. */
  constructor(nonce: Uint8Array, key: Uint8Array) {
    if (nonce.length !== 24 || key.length !== 32)
      throw new RangeError('XSalsa20 takes 24 bytes of nonce and 32 of key');
    if (endianness() !== 'LE') throw new Error('big-endian machines are not supported');
    const derived = hsalsa20(wordsOf(nonce.subarray(0, 16)), wordsOf(key));
    setUp(this.#state, derived, wordsOf(nonce.subarray(16)));
  }

  /** The next bytes of the stream, en- or decrypted, in an array of their own. */
  update(bytes: Uint8Array): Uint8Array {
    // Blocks of 64 bytes must lie at word boundaries: what belongs to the block begun before is left free in front.
    const skip = this.#position % BLOCK_BYTES;
    const words = new Uint32Array(Math.ceil((skip + bytes.length) / BLOCK_BYTES) * BLOCK_WORDS);
    const out = new Uint8Array(words.buffer, skip, bytes.length);
    out.set(bytes);
    const firstBlock = Math.floor(this.#position / BLOCK_BYTES);
    for (let at = 0; at < words.length; at += BLOCK_WORDS) {
      const block = firstBlock + at / BLOCK_WORDS;
      this.#state[8] = block;
      this.#state[9] = block / 2 ** 32;
      xorBlock(this.#state, words, at);
    }
    this.#position += bytes.length;
    return out;
  }
}

const BLOCK_BYTES = 64;
const BLOCK_WORDS = 16;

/** "expand 32-byte k" */
const sigma = Uint32Array.of(0x61707865, 0x3320646e, 0x79622d32, 0x6b206574);

function wordsOf(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(Uint8Array.from(bytes).buffer);
}

/** Salsa20's matrix: constants on the diagonal, the key in two halves, four words of nonce or nonce and counter. */
function setUp(state: Uint32Array, key: Uint32Array, input: Uint32Array): void {
  for (let i = 0; i < 4; i++) {
    state[i * 5] = sigma[i] as number;
    state[i + 1] = key[i] as number;
    state[i + 11] = key[i + 4] as number;
    state[i + 6] = input[i] ?? 0;
  }
}

/** https://cr.yp.to/snuffle/xsalsa-20110204.pdf section 2: the key of the stream from the first 16 bytes of the nonce. */
function hsalsa20(input: Uint32Array, key: Uint32Array): Uint32Array {
  const state = new Uint32Array(BLOCK_WORDS);
  setUp(state, key, input);
  const mixed = new Uint32Array(BLOCK_WORDS);
  // The rounds alone: xorBlock adds the state in the end, which is taken off again.
  xorBlock(state, mixed, 0);
  const rounds = mixed.map((word, i) => word - (state[i] as number));
  return Uint32Array.from([0, 5, 10, 15, 6, 7, 8, 9], (i) => rounds[i] as number);
}

/**
 * The Salsa20 core over `s`, XORed into 16 words of `out`. Sixteen variables and not an array: four times as fast.
 * Twenty rounds, a column round and a row round at a time (https://cr.yp.to/snuffle/spec.pdf).
 */
function xorBlock(s: Uint32Array, out: Uint32Array, at: number): void {
  let x0 = s[0] as number;
  let x1 = s[1] as number;
  let x2 = s[2] as number;
  let x3 = s[3] as number;
  let x4 = s[4] as number;
  let x5 = s[5] as number;
  let x6 = s[6] as number;
  let x7 = s[7] as number;
  let x8 = s[8] as number;
  let x9 = s[9] as number;
  let x10 = s[10] as number;
  let x11 = s[11] as number;
  let x12 = s[12] as number;
  let x13 = s[13] as number;
  let x14 = s[14] as number;
  let x15 = s[15] as number;
  let u: number;
  for (let round = 0; round < 20; round += 2) {
    u = (x0 + x12) | 0;
    x4 ^= (u << 7) | (u >>> 25);
    u = (x4 + x0) | 0;
    x8 ^= (u << 9) | (u >>> 23);
    u = (x8 + x4) | 0;
    x12 ^= (u << 13) | (u >>> 19);
    u = (x12 + x8) | 0;
    x0 ^= (u << 18) | (u >>> 14);
    u = (x5 + x1) | 0;
    x9 ^= (u << 7) | (u >>> 25);
    u = (x9 + x5) | 0;
    x13 ^= (u << 9) | (u >>> 23);
    u = (x13 + x9) | 0;
    x1 ^= (u << 13) | (u >>> 19);
    u = (x1 + x13) | 0;
    x5 ^= (u << 18) | (u >>> 14);
    u = (x10 + x6) | 0;
    x14 ^= (u << 7) | (u >>> 25);
    u = (x14 + x10) | 0;
    x2 ^= (u << 9) | (u >>> 23);
    u = (x2 + x14) | 0;
    x6 ^= (u << 13) | (u >>> 19);
    u = (x6 + x2) | 0;
    x10 ^= (u << 18) | (u >>> 14);
    u = (x15 + x11) | 0;
    x3 ^= (u << 7) | (u >>> 25);
    u = (x3 + x15) | 0;
    x7 ^= (u << 9) | (u >>> 23);
    u = (x7 + x3) | 0;
    x11 ^= (u << 13) | (u >>> 19);
    u = (x11 + x7) | 0;
    x15 ^= (u << 18) | (u >>> 14);
    u = (x0 + x3) | 0;
    x1 ^= (u << 7) | (u >>> 25);
    u = (x1 + x0) | 0;
    x2 ^= (u << 9) | (u >>> 23);
    u = (x2 + x1) | 0;
    x3 ^= (u << 13) | (u >>> 19);
    u = (x3 + x2) | 0;
    x0 ^= (u << 18) | (u >>> 14);
    u = (x5 + x4) | 0;
    x6 ^= (u << 7) | (u >>> 25);
    u = (x6 + x5) | 0;
    x7 ^= (u << 9) | (u >>> 23);
    u = (x7 + x6) | 0;
    x4 ^= (u << 13) | (u >>> 19);
    u = (x4 + x7) | 0;
    x5 ^= (u << 18) | (u >>> 14);
    u = (x10 + x9) | 0;
    x11 ^= (u << 7) | (u >>> 25);
    u = (x11 + x10) | 0;
    x8 ^= (u << 9) | (u >>> 23);
    u = (x8 + x11) | 0;
    x9 ^= (u << 13) | (u >>> 19);
    u = (x9 + x8) | 0;
    x10 ^= (u << 18) | (u >>> 14);
    u = (x15 + x14) | 0;
    x12 ^= (u << 7) | (u >>> 25);
    u = (x12 + x15) | 0;
    x13 ^= (u << 9) | (u >>> 23);
    u = (x13 + x12) | 0;
    x14 ^= (u << 13) | (u >>> 19);
    u = (x14 + x13) | 0;
    x15 ^= (u << 18) | (u >>> 14);
  }
  out[at + 0] = (out[at + 0] as number) ^ (x0 + (s[0] as number));
  out[at + 1] = (out[at + 1] as number) ^ (x1 + (s[1] as number));
  out[at + 2] = (out[at + 2] as number) ^ (x2 + (s[2] as number));
  out[at + 3] = (out[at + 3] as number) ^ (x3 + (s[3] as number));
  out[at + 4] = (out[at + 4] as number) ^ (x4 + (s[4] as number));
  out[at + 5] = (out[at + 5] as number) ^ (x5 + (s[5] as number));
  out[at + 6] = (out[at + 6] as number) ^ (x6 + (s[6] as number));
  out[at + 7] = (out[at + 7] as number) ^ (x7 + (s[7] as number));
  out[at + 8] = (out[at + 8] as number) ^ (x8 + (s[8] as number));
  out[at + 9] = (out[at + 9] as number) ^ (x9 + (s[9] as number));
  out[at + 10] = (out[at + 10] as number) ^ (x10 + (s[10] as number));
  out[at + 11] = (out[at + 11] as number) ^ (x11 + (s[11] as number));
  out[at + 12] = (out[at + 12] as number) ^ (x12 + (s[12] as number));
  out[at + 13] = (out[at + 13] as number) ^ (x13 + (s[13] as number));
  out[at + 14] = (out[at + 14] as number) ^ (x14 + (s[14] as number));
  out[at + 15] = (out[at + 15] as number) ^ (x15 + (s[15] as number));
}

import { PieceReader } from '../piece-reader.ts';
import type { Chunker } from './chunker.ts';

/** Irreducible, of degree 53: as Kubo has it. */
const POLYNOMIAL = 17437180132763653n;
const DEGREE = 53n;
const WINDOW = 16;

export interface RabinBytes {
  min: number;
  /** Rounded down to a power of two. */
  average: number;
  max: number;
}

/**
 * Chunks by content, so that an insertion moves few borders: a chunk ends where the fingerprint (Rabin, 1981) of the last 16 bytes is a multiple
 * of the average. Kubo's `rabin`: what comes before min, less the window, is not looked at.
 */
export function rabin({ min, average, max }: RabinBytes): Chunker {
  const mask = 2 ** Math.floor(Math.log2(average)) - 1;
  return async function* chunks(content) {
    const reader = new PieceReader(content);
    const buffer = new Uint8Array(max);
    let filled = 0;
    try {
      for (;;) {
        filled = await reader.fill(buffer, filled);
        if (filled === 0) return;
        const end = endOfChunk(buffer, filled, min, mask);
        yield buffer.slice(0, end);
        buffer.copyWithin(0, end, filled);
        filled -= end;
      }
    } finally {
      await reader.close();
    }
  };
}

/** Fingerprints have up to 61 bits on the way: `high` has those above 32. */
function endOfChunk(buffer: Uint8Array, filled: number, min: number, mask: number): number {
  const { outHigh, outLow, modHigh, modLow } = tables();
  const window = new Uint8Array(WINDOW);
  // Every chunk begins as if a 1 had been before it.
  window[0] = 1;
  let place = 1;
  let high = 0;
  let low = 1;
  for (let at = min - WINDOW; at < filled; at++) {
    const byte = buffer[at] as number;
    const leaving = window[place] as number;
    window[place] = byte;
    place = (place + 1) % WINDOW;
    high ^= outHigh[leaving] as number;
    low ^= outLow[leaving] as number;
    const index = high >>> 13;
    high = ((high << 8) | (low >>> 24)) ^ (modHigh[index] as number);
    low = ((low << 8) | byte) ^ (modLow[index] as number);
    if (at + 1 >= min && (low & mask) === 0) return at + 1;
  }
  return filled;
}

interface Tables {
  /** What a byte that leaves the window has added to the fingerprint. */
  outHigh: Int32Array;
  outLow: Int32Array;
  /** By the 8 bits above the degree: what takes them away, modulo the polynomial. */
  modHigh: Int32Array;
  modLow: Int32Array;
}

let known: Tables | undefined;

function tables(): Tables {
  if (known !== undefined) return known;
  const made = {
    outHigh: new Int32Array(256),
    outLow: new Int32Array(256),
    modHigh: new Int32Array(256),
    modLow: new Int32Array(256),
  };
  for (let byte = 0; byte < 256; byte++) {
    const out = modulo(BigInt(byte) << BigInt(8 * (WINDOW - 1)));
    made.outHigh[byte] = Number(out >> 32n);
    made.outLow[byte] = Number(BigInt.asIntN(32, out));
    const above = BigInt(byte) << DEGREE;
    const mod = modulo(above) | above;
    made.modHigh[byte] = Number(mod >> 32n);
    made.modLow[byte] = Number(BigInt.asIntN(32, mod));
  }
  known = made;
  return made;
}

/** In polynomials over bits. */
function modulo(value: bigint): bigint {
  let rest = value;
  for (let bit = 127n; bit >= DEGREE; bit--) {
    if ((rest >> bit) & 1n) rest ^= POLYNOMIAL << (bit - DEGREE);
  }
  return rest;
}

import { PieceReader } from '../piece-reader.ts';
import { buzhashTable } from './buzhash-table.ts';
import type { Chunker } from './chunker.ts';

const BYTES_MIN = 128 * 1024;
const BYTES_MAX = 512 * 1024;
const WINDOW = 32;
/** A chunk ends where these bits of the hash of the last 32 bytes are 0: each 128 KiB or so. */
const MASK = 2 ** 17 - 1;

/** Chunks by content, so that an insertion moves few borders; 128 to 512 KiB. Kubo's `buzhash`. */
export const buzhash: Chunker = async function* chunks(content) {
  const reader = new PieceReader(content);
  const buffer = new Uint8Array(BYTES_MAX);
  let filled = 0;
  try {
    for (;;) {
      filled = await reader.fill(buffer, filled);
      if (filled === 0) return;
      const end = filled < BYTES_MIN ? filled : endOfChunk(buffer, filled);
      yield buffer.slice(0, end);
      buffer.copyWithin(0, end, filled);
      filled -= end;
    }
  } finally {
    await reader.close();
  }
};

function endOfChunk(buffer: Uint8Array, filled: number): number {
  let at = BYTES_MIN - WINDOW;
  let hash = 0;
  for (; at < BYTES_MIN; at++) hash = rotated(hash) ^ (buzhashTable[buffer[at] as number] as number);
  for (at = BYTES_MIN - WINDOW; at < filled - WINDOW; at++) {
    if ((hash & MASK) === 0) break;
    const leaving = buzhashTable[buffer[at] as number] as number;
    const entering = buzhashTable[buffer[at + WINDOW] as number] as number;
    hash = rotated(hash) ^ leaving ^ entering;
  }
  return at + WINDOW;
}

function rotated(hash: number): number {
  return (hash << 1) | (hash >>> 31);
}

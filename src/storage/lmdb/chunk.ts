import { CHUNK_BYTES, CHUNKS_KEPT_MAX } from './constants.ts';
import { addressOf } from './native.ts';

/** A piece of memory that does not move, seen in three ways, with its machine address. */
export interface Chunk {
  readonly bytes: Uint8Array;
  readonly u32: Uint32Array;
  readonly f64: Float64Array;
  readonly address: number;
}

/** Reuses chunks, as allocating and zeroing them costs about as much as filling them. */
export class ChunkPool {
  readonly #free: Chunk[] = [];

  /** A chunk of at least `bytesMin` bytes, with anything in it. */
  take(bytesMin: number): Chunk {
    if (bytesMin > CHUNK_BYTES) return newChunk(Math.ceil(bytesMin / 8) * 8);
    return this.#free.pop() ?? newChunk(CHUNK_BYTES);
  }

  give(chunk: Chunk): void {
    if (chunk.bytes.length === CHUNK_BYTES && this.#free.length < CHUNKS_KEPT_MAX) this.#free.push(chunk);
  }
}

function newChunk(size: number): Chunk {
  const buffer = new ArrayBuffer(size);
  return {
    bytes: new Uint8Array(buffer),
    u32: new Uint32Array(buffer),
    f64: new Float64Array(buffer),
    address: addressOf(buffer),
  };
}

import type { Chunk, ChunkPool } from './chunk.ts';
import { CHUNK_BYTES } from './constants.ts';
import { hashKey, Overlay } from './overlay.ts';

const PUT = 15;
const DELETE = 13;
const CONTINUE_AT = 3;
const END = 0;

/** Offset of the first instruction: the word in front of the end mark receives the transaction's number. */
const FIRST = 8;
/** What CONTINUE_AT takes, and so what must always be left in a chunk. */
const RESERVE = 16;

/**
 * Writes that become one LMDB transaction: a list of instructions in the form that lmdb-js's writer thread reads, and
 * an overlay through which they can be read before they are visible.
 *
 * We write the list ourselves, as the queue of lmdb-js costs four times as much of the main thread, decides itself
 * where a transaction ends, blocks the main thread when it thinks itself full, and leaves promises unsettled when a
 * write fails. Layout (the head of `src/writer.cpp`), words of four bytes, each instruction on a multiple of 8:
 *
 *   flags, dbi, key size, key, padding, value size, value address (a double)
 *
 * Instructions grow from a chunk's front and values from its back.
 */
export class WriteBatch {
  readonly #pool: ChunkPool;
  readonly #overlay = new Overlay();
  readonly #chunks: Chunk[] = [];
  #chunk!: Chunk;
  #at = FIRST;
  #valuesFrom = 0;
  #length = 0;

  constructor(pool: ChunkPool) {
    this.#pool = pool;
    this.#addChunk(CHUNK_BYTES);
  }

  /** How many writes it holds. */
  get length(): number {
    return this.#length;
  }

  put(dbi: number, inOverlay: boolean, key: Uint8Array, value: Uint8Array): void {
    // 28: flags, dbi, sizes and padding before the value's address, 8: the address.
    const keyAt = this.#room(((key.length + 28) & ~7) + 8 + value.length) + 12;
    const { bytes, u32, f64, address } = this.#chunk;
    const valueAt = this.#valuesFrom - value.length;
    this.#valuesFrom = valueAt;
    this.#at = this.#key(PUT, dbi, key, keyAt) + 8;
    u32[(this.#at >> 2) - 3] = value.length;
    f64[(this.#at >> 3) - 1] = address + valueAt;
    bytes.set(value, valueAt);
    if (!inOverlay) return;
    const hash = hashKey(dbi, key);
    this.#overlay.add(hash, dbi, this.#chunks.length - 1, keyAt, key.length, valueAt, value.length);
  }

  remove(dbi: number, inOverlay: boolean, key: Uint8Array): void {
    const keyAt = this.#room((key.length + 28) & ~7) + 12;
    this.#at = this.#key(DELETE, dbi, key, keyAt);
    if (inOverlay) this.#overlay.addRemoved(hashKey(dbi, key), dbi, this.#chunks.length - 1, keyAt, key.length);
  }

  /** See Overlay.find. */
  find(hash: number, dbi: number, key: Uint8Array): Uint8Array | null | undefined {
    return this.#overlay.find(hash, dbi, key, this.#chunks);
  }

  mark(): BatchMark {
    return {
      chunks: this.#chunks.length,
      at: this.#at,
      valuesFrom: this.#valuesFrom,
      length: this.#length,
      overlay: this.#overlay.length,
    };
  }

  /** Undoes what was written since `mark`. */
  undo(mark: BatchMark): void {
    while (this.#chunks.length > mark.chunks) this.#pool.give(this.#chunks.pop() as Chunk);
    this.#chunk = this.#chunks[mark.chunks - 1] as Chunk;
    this.#at = mark.at;
    this.#valuesFrom = mark.valuesFrom;
    this.#length = mark.length;
    this.#overlay.truncate(mark.overlay);
  }

  /** Ends the list; nothing may be written any more. The address of the first instruction. */
  seal(): number {
    this.#chunk.u32[this.#at >> 2] = END;
    return (this.#chunks[0] as Chunk).address + FIRST;
  }

  /** From now on it is read from the store itself. */
  dropOverlay(): void {
    this.#overlay.clear();
  }

  /** Empties it for reuse. Only once the writer thread has reported its end: it touches the instructions until then. */
  reset(): void {
    this.#overlay.clear();
    while (this.#chunks.length > 0) this.#pool.give(this.#chunks.pop() as Chunk);
    this.#addChunk(CHUNK_BYTES);
    this.#length = 0;
  }

  /** Where an instruction of so many bytes, value included, may begin. */
  #room(size: number): number {
    this.#length++;
    if (this.#at + size + RESERVE <= this.#valuesFrom) return this.#at;
    const full = this.#chunk;
    const end = this.#at;
    this.#addChunk(FIRST + size + RESERVE);
    full.u32[end >> 2] = CONTINUE_AT;
    full.f64[(end >> 3) + 1] = this.#chunk.address + FIRST;
    return FIRST;
  }

  #addChunk(bytesMin: number): void {
    this.#chunk = this.#pool.take(bytesMin);
    this.#chunks.push(this.#chunk);
    this.#at = FIRST;
    this.#valuesFrom = this.#chunk.bytes.length;
  }

  /** Where the instruction goes on behind the key. */
  #key(flags: number, dbi: number, key: Uint8Array, keyAt: number): number {
    const { bytes, u32 } = this.#chunk;
    const word = this.#at >> 2;
    u32[word] = flags;
    u32[word + 1] = dbi;
    u32[word + 2] = key.length;
    bytes.set(key, keyAt);
    return (keyAt + key.length + 16) & ~7;
  }
}

export interface BatchMark {
  readonly chunks: number;
  readonly at: number;
  readonly valuesFrom: number;
  readonly length: number;
  readonly overlay: number;
}

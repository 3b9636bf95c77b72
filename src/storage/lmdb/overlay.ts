import type { Chunk } from './chunk.ts';

const ENTRY_WORDS = 8;
const HASH = 0;
const NEXT = 1;
const TABLE = 2;
const CHUNK = 3;
const KEY_AT = 4;
const KEY_SIZE = 5;
const VALUE_AT = 6;
const VALUE_SIZE = 7;

const BUCKETS_MIN = 1024;
/** What is kept for reuse at most, 2.3 MB with its entries. */
const BUCKETS_KEPT_MAX = 65_536;
const REMOVED = -1;

/**
 * What a write batch holds, by table and key, newest first. A chained hash table over integers only: keys and values
 * stay where the batch has them, so that a write costs no allocation here. An entry is put in front of its chain and
 * never changed, which makes undoing the newest entries trivial.
 */
export class Overlay {
  #buckets = new Int32Array(BUCKETS_MIN).fill(-1);
  #entries = new Int32Array(BUCKETS_MIN * ENTRY_WORDS);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  add(hash: number, table: number, chunk: number, keyAt: number, keySize: number, valueAt: number, size: number): void {
    if (this.#length === this.#buckets.length) this.#grow();
    const entries = this.#entries;
    const at = this.#length * ENTRY_WORDS;
    const bucket = hash & (this.#buckets.length - 1);
    entries[at + HASH] = hash;
    entries[at + NEXT] = this.#buckets[bucket] as number;
    entries[at + TABLE] = table;
    entries[at + CHUNK] = chunk;
    entries[at + KEY_AT] = keyAt;
    entries[at + KEY_SIZE] = keySize;
    entries[at + VALUE_AT] = valueAt;
    entries[at + VALUE_SIZE] = size;
    this.#buckets[bucket] = this.#length++;
  }

  addRemoved(hash: number, table: number, chunk: number, keyAt: number, keySize: number): void {
    this.add(hash, table, chunk, keyAt, keySize, 0, REMOVED);
  }

  /** A fresh copy of the value; null when the newest write removes the key; undefined when there is none. */
  find(hash: number, table: number, key: Uint8Array, chunks: readonly Chunk[]): Uint8Array | null | undefined {
    if (this.#length === 0) return undefined;
    const entries = this.#entries;
    for (let entry = this.#buckets[hash & (this.#buckets.length - 1)] as number; entry >= 0; ) {
      const at = entry * ENTRY_WORDS;
      if (entries[at + HASH] === hash && entries[at + TABLE] === table && entries[at + KEY_SIZE] === key.length) {
        const bytes = (chunks[entries[at + CHUNK] as number] as Chunk).bytes;
        if (sameBytes(bytes, entries[at + KEY_AT] as number, key)) {
          const size = entries[at + VALUE_SIZE] as number;
          if (size === REMOVED) return null;
          const valueAt = entries[at + VALUE_AT] as number;
          return bytes.slice(valueAt, valueAt + size);
        }
      }
      entry = entries[at + NEXT] as number;
    }
    return undefined;
  }

  /** Takes the newest entries away again, until `length` are left. */
  truncate(length: number): void {
    const mask = this.#buckets.length - 1;
    while (this.#length > length) {
      const at = --this.#length * ENTRY_WORDS;
      this.#buckets[(this.#entries[at + HASH] as number) & mask] = this.#entries[at + NEXT] as number;
    }
  }

  clear(): void {
    if (this.#length === 0) return;
    this.#length = 0;
    if (this.#buckets.length <= BUCKETS_KEPT_MAX) {
      this.#buckets.fill(-1);
    } else {
      this.#buckets = new Int32Array(BUCKETS_MIN).fill(-1);
      this.#entries = new Int32Array(BUCKETS_MIN * ENTRY_WORDS);
    }
  }

  #grow(): void {
    const size = this.#buckets.length * 2;
    const entries = new Int32Array(size * ENTRY_WORDS);
    entries.set(this.#entries);
    const buckets = new Int32Array(size).fill(-1);
    for (let i = 0; i < this.#length; i++) {
      const at = i * ENTRY_WORDS;
      const bucket = (entries[at + HASH] as number) & (size - 1);
      entries[at + NEXT] = buckets[bucket] as number;
      buckets[bucket] = i;
    }
    this.#entries = entries;
    this.#buckets = buckets;
  }
}

/** MurmurHash3's body and finisher, four bytes a step: about 40 ns for a key of 45 bytes. */
export function hashKey(table: number, key: Uint8Array): number {
  const length = key.length;
  let hash = Math.imul(table + 1, 0x9e3779b1) ^ length;
  let i = 0;
  for (; i + 3 < length; i += 4) {
    let word =
      (key[i] as number) |
      ((key[i + 1] as number) << 8) |
      ((key[i + 2] as number) << 16) |
      ((key[i + 3] as number) << 24);
    word = Math.imul(word, 0xcc9e2d51);
    word = Math.imul((word << 15) | (word >>> 17), 0x1b873593);
    hash ^= word;
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  for (; i < length; i++) hash = Math.imul(hash ^ (key[i] as number), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

function sameBytes(bytes: Uint8Array, at: number, key: Uint8Array): boolean {
  // Keys of one table mostly share their beginning.
  for (let i = key.length - 1; i >= 0; i--) {
    if (bytes[at + i] !== key[i]) return false;
  }
  return true;
}

import { hash } from 'node:crypto';
import { endianness } from 'node:os';
import { PinfoldError } from '../model/errors.ts';
import { bucketCount } from '../model/pin-key.ts';
import type { Reader, Transaction } from '../storage/storage.ts';
import { DIGEST_BYTES } from './codec/feed-row.ts';
import type { Digest } from './pinset.ts';
import type { TableSet } from './tables.ts';

const isLittleEndian = endianness() === 'LE';
const wordsPerBucket = 4;
/** Buckets in one row of the digest table: 1 KiB, so that rows lie inside LMDB's pages. */
const bucketsPerRow = 64;
const rowCount = bucketCount / bucketsPerRow;
const wordsPerRow = bucketsPerRow * wordsPerBucket;
const bytesPerRow = bucketsPerRow * DIGEST_BYTES;
const hashBytes = 32;

/** Of a row nothing was added to. Never changed. */
const emptyRow = new Uint32Array(wordsPerRow);

/**
 * Sums of row hashes mod 2^128, four words of 32 bits a bucket, the highest first. Numbers below 2^53 add such words
 * and their carry exactly; BigInt takes 30 times as long.
 */
export class DigestSums implements Digest {
  /** A copy shares them with its original: whoever changes a row makes one of its own. */
  readonly #rows: Uint32Array[];
  readonly #isOwn: Uint8Array;
  readonly #dirty = new Uint8Array(rowCount);
  /** SHA-256 of each row, as far as it is not stale. */
  readonly #hashes = Buffer.alloc(rowCount * hashBytes);
  readonly #stale = new Uint8Array(rowCount).fill(1);
  /** As long as no row is stale. */
  #root: Uint8Array | undefined;

  constructor(rows: Uint32Array[] = new Array<Uint32Array>(rowCount).fill(emptyRow)) {
    this.#rows = rows;
    this.#isOwn = new Uint8Array(rowCount);
  }

  copy(): DigestSums {
    this.#isOwn.fill(0);
    return new DigestSums([...this.#rows]);
  }

  /** Adds 16 bytes, big-endian. */
  add(bucket: number, bytes: Uint8Array, at = 0): void {
    const words = this.#changing(bucket);
    const last = lastWordOf(bucket);
    let carry = 0;
    for (let i = 0; i < wordsPerBucket; i++) {
      const sum = (words[last - i] as number) + wordAt(bytes, at + 12 - 4 * i) + carry;
      words[last - i] = sum;
      carry = sum > 0xffffffff ? 1 : 0;
    }
  }

  subtract(bucket: number, bytes: Uint8Array, at = 0): void {
    const words = this.#changing(bucket);
    const last = lastWordOf(bucket);
    let borrow = 0;
    for (let i = 0; i < wordsPerBucket; i++) {
      const difference = (words[last - i] as number) - wordAt(bytes, at + 12 - 4 * i) - borrow;
      words[last - i] = difference;
      borrow = difference < 0 ? 1 : 0;
    }
  }

  bucket(bucket: number): Uint8Array {
    return this.#bytes(bucket, bucket + 1);
  }

  buckets(from: number, to: number): Uint8Array {
    return this.#bytes(from, to);
  }

  /** Of the rows' hashes, so that a Hello after a write reads some rows and not all the 1 MiB. */
  root(): Uint8Array {
    if (this.#root !== undefined) return this.#root;
    for (let row = 0; row < rowCount; row++) {
      if (this.#stale[row] === 0) continue;
      this.#stale[row] = 0;
      this.#hashes.set(this.#rowHash(row), row * hashBytes);
    }
    this.#root = hash('sha256', this.#hashes, 'buffer');
    return this.#root;
  }

  clear(): void {
    this.#rows.fill(emptyRow);
    this.#isOwn.fill(0);
    this.#dirty.fill(0);
    this.#stale.fill(1);
    this.#root = undefined;
  }

  /** Rows to be written on the next `save` even if nothing changed in them. */
  touchAll(): void {
    this.#dirty.fill(1);
  }

  /** Writes the rows that changed since the last `save`. */
  save(tx: Transaction, set: TableSet): void {
    for (let row = 0; row < rowCount; row++) {
      if (this.#dirty[row] === 0) continue;
      this.#dirty[row] = 0;
      tx.put(set.digest, rowKey(row), this.#bytes(row * bucketsPerRow, (row + 1) * bucketsPerRow));
    }
  }

  /** Throws DATA_CORRUPT. */
  load(reader: Reader, set: TableSet): void {
    this.clear();
    for (const { key, value } of reader.range(set.digest)) {
      const row = Buffer.from(key).readUInt16BE(0);
      if (row >= rowCount || value.length !== bytesPerRow) {
        throw new PinfoldError(
          'DATA_CORRUPT',
          `row ${row} of ${set.digest} is damaged; rebuild this peer from the others`,
        );
      }
      this.#rows[row] = Uint32Array.from({ length: wordsPerRow }, (_, i) => wordAt(value, i * 4));
      this.#isOwn[row] = 1;
    }
  }

  /** The words of the bucket's row, to be changed. */
  #changing(bucket: number): Uint32Array {
    const row = Math.floor(bucket / bucketsPerRow);
    if (this.#isOwn[row] === 0) {
      this.#rows[row] = (this.#rows[row] as Uint32Array).slice();
      this.#isOwn[row] = 1;
    }
    this.#dirty[row] = 1;
    this.#stale[row] = 1;
    this.#root = undefined;
    return this.#rows[row] as Uint32Array;
  }

  #rowHash(row: number): Uint8Array {
    const words = this.#rows[row] as Uint32Array;
    if (words === emptyRow || words.every((word) => word === 0)) return emptyRowHash;
    return hash('sha256', this.#bytes(row * bucketsPerRow, (row + 1) * bucketsPerRow), 'buffer');
  }

  #bytes(from: number, to: number): Buffer {
    const words = new Uint32Array((to - from) * wordsPerBucket);
    for (let bucket = from; bucket < to; ) {
      const row = Math.floor(bucket / bucketsPerRow);
      const end = Math.min(to, (row + 1) * bucketsPerRow);
      const inRow = this.#rows[row] as Uint32Array;
      if (inRow !== emptyRow) {
        const at = row * bucketsPerRow;
        words.set(
          inRow.subarray((bucket - at) * wordsPerBucket, (end - at) * wordsPerBucket),
          (bucket - from) * wordsPerBucket,
        );
      }
      bucket = end;
    }
    const bytes = Buffer.from(words.buffer);
    if (isLittleEndian) bytes.swap32();
    return bytes;
  }
}

/** In its row. */
function lastWordOf(bucket: number): number {
  return (bucket % bucketsPerRow) * wordsPerBucket + wordsPerBucket - 1;
}

const emptyRowHash = hash('sha256', new Uint8Array(bytesPerRow), 'buffer');

function wordAt(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}

function rowKey(row: number): Uint8Array {
  return Buffer.of(row >> 8, row & 255);
}

/** Writes `after - before` mod 2^128 to `into`: hashes one byte a character, their first 16; '' is zero. */
export function writeDifference(into: Uint8Array, at: number, after: string, before: string): void {
  if (before === '') {
    for (let i = 0; i < DIGEST_BYTES; i++) into[at + i] = after.charCodeAt(i);
    return;
  }
  let borrow = 0;
  for (let i = DIGEST_BYTES - 1; i >= 0; i--) {
    const difference = (after === '' ? 0 : after.charCodeAt(i)) - before.charCodeAt(i) - borrow;
    into[at + i] = difference;
    borrow = difference < 0 ? 1 : 0;
  }
}

import { isPinfoldError } from '../../model/errors.ts';
import type { Entry, Range, TableName } from '../storage.ts';
import type { NativeRange, NativeRoot, NativeTable, NativeTxn } from './native.ts';

/** Below every key but itself, which bounds in lmdb-js can include. */
const LOWEST = Uint8Array.of(0);

export function openTable(root: NativeRoot, name: TableName): NativeTable {
  const global = new GlobalBuffer();
  const codec = {
    encode: (value: Uint8Array) => value,
    // `bytes` is lmdb-js's global buffer, whose `length` it sets to that of the value.
    decode: (bytes: Uint8Array) => global.copy(bytes, 0, bytes.length),
  };
  const keys = new GlobalBuffer();
  const keyCodec = {
    writeKey(key: Uint8Array, target: Uint8Array, start: number): number {
      target.set(key, start);
      return start + key.length;
    },
    readKey: (source: Uint8Array, start: number, end: number) => keys.copy(source, start, end),
  };
  return root.openDB({ name, encoder: codec, keyEncoder: keyCodec });
}

/** Stands between a range and the store, which can be closed or found damaged while the range is open. */
export interface RangeGuard {
  /** Throws when reading must not go on. */
  check(): void;
  /** What to throw in place of an error of LMDB. */
  failed(cause: unknown): Error;
}

/** Entries of one table, read lazily from one read transaction. */
export function* readRange(
  table: NativeTable,
  range: Range,
  txn: NativeTxn | undefined,
  guard: RangeGuard,
): Iterable<Entry> {
  guard.check();
  if (range.to?.length === 0) return;
  try {
    for (const entry of table.getRange(nativeRange(range, txn))) {
      yield entry;
      guard.check();
    }
  } catch (error) {
    throw isPinfoldError(error) ? error : guard.failed(error);
  }
}

function nativeRange({ from, to, reverse, limit }: Range, txn: NativeTxn | undefined): NativeRange {
  const low = from === undefined || from.length === 0 ? LOWEST : from;
  const options: NativeRange = reverse ? { reverse, end: low, inclusiveEnd: true } : { start: low };
  if (to !== undefined) {
    if (reverse) {
      options.start = to;
      options.exclusiveStart = true;
    } else {
      options.end = to;
    }
  }
  if (limit !== undefined) options.limit = limit;
  if (txn !== undefined) options.transaction = txn;
  return options;
}

/**
 * Copies out of a buffer that lmdb-js reuses. Through a plain view of it, as slicing the Buffer itself would give
 * Buffers, which cost more and whose `slice` does not copy.
 */
class GlobalBuffer {
  #buffer: Uint8Array | undefined;
  #view: Uint8Array = new Uint8Array();

  copy(buffer: Uint8Array, start: number, end: number): Uint8Array {
    if (buffer !== this.#buffer) {
      this.#buffer = buffer;
      this.#view = new Uint8Array(buffer.buffer, buffer.byteOffset);
    }
    return this.#view.slice(start, end);
  }
}

import { Malformed, Reader as WireReader } from '../../../pinset/codec/reader.ts';
import { Writer } from '../../../pinset/codec/writer.ts';
import type { Clock } from '../../../runtime/clock.ts';
import type { Storage, Transaction } from '../../../storage/storage.ts';
import { IDEMPOTENCY_KEY_BYTES, IDEMPOTENCY_TRIM_ROWS_MAX } from '../constants.ts';
import { idempotencyAgeTable, idempotencyTable } from '../tables.ts';

/** What came of a call, or of a bulk stream (6.3). */
export interface Remembered {
  kind: 'call' | 'stream';
  /** The dot: local number of the replica, sequence. */
  replica: number;
  sequence: number;
  /** Of a stream: up to which number all are decided. Of a call: 0. */
  decided: number;
  timeMs: number;
  /**
   * Of a call that was made here: hash of the request. Of a stream that only a shadow has taken in so far: the row that is true
   * until the swap, encoded. Else empty.
   */
  request: Uint8Array;
}

const writer = new Writer(128);
const timeBytes = 6;

export function readRemembered(tx: Pick<Transaction, 'get'>, key: Uint8Array): Remembered | undefined {
  const bytes = tx.get(idempotencyTable, key);
  return bytes === undefined ? undefined : decodeRemembered(bytes);
}

/** Rows of calls are written once, rows of streams with every batch. */
export function putRemembered(tx: Transaction, key: Uint8Array, row: Remembered, isNew: boolean): void {
  tx.put(idempotencyTable, key, encodeRemembered(row));
  if (isNew) tx.put(idempotencyAgeTable, ageKey(row.timeMs, key), new Uint8Array(0));
}

/** Forgets what is too old, and the oldest above the limit; a bounded piece a call. True: there may be more. */
export function trimRemembered(
  storage: Storage,
  clock: Clock,
  options: { idempotencyKeepMs: number; idempotencyRowsMax: number },
): boolean {
  const excess = storage.tableSize(idempotencyTable).entries - options.idempotencyRowsMax;
  const limitMs = clock.nowMs() - options.idempotencyKeepMs;
  const ages = [...storage.read.range(idempotencyAgeTable, { limit: IDEMPOTENCY_TRIM_ROWS_MAX })].map(({ key }) => key);
  const due = ages.filter((age, i) => i < excess || timeOf(age) < limitMs);
  if (due.length === 0) return false;
  storage.transaction((tx) => {
    for (const age of due) forget(tx, age);
  });
  return due.length === IDEMPOTENCY_TRIM_ROWS_MAX;
}

/** A stream that went on since it got its place among the ages gets a later one: it is not among the oldest. */
function forget(tx: Transaction, age: Uint8Array): void {
  tx.remove(idempotencyAgeTable, age);
  const key = age.subarray(timeBytes);
  const row = readRemembered(tx, key);
  if (row === undefined) return;
  if (row.timeMs > timeOf(age)) tx.put(idempotencyAgeTable, ageKey(row.timeMs, key), new Uint8Array(0));
  else tx.remove(idempotencyTable, key);
}

function timeOf(age: Uint8Array): number {
  return Buffer.from(age).readUIntBE(0, timeBytes);
}

function ageKey(timeMs: number, key: Uint8Array): Uint8Array {
  const age = Buffer.alloc(timeBytes + IDEMPOTENCY_KEY_BYTES);
  age.writeUIntBE(Math.max(0, Math.floor(timeMs)), 0, timeBytes);
  age.set(key.subarray(0, IDEMPOTENCY_KEY_BYTES), timeBytes);
  return age;
}

export function encodeRemembered(row: Remembered): Uint8Array {
  writer.at = 0;
  writer.ensure(128);
  writer.varint(row.kind === 'call' ? 0 : 1);
  writer.varint(row.replica);
  writer.varint(row.sequence);
  writer.varint(row.decided);
  writer.varint(Math.max(0, Math.floor(row.timeMs)));
  writer.bytes.set(row.request, writer.at);
  writer.at += row.request.length;
  return writer.take();
}

/** Undefined for a damaged row: it is as if it had been forgotten. */
export function decodeRemembered(bytes: Uint8Array): Remembered | undefined {
  try {
    const reader = new WireReader(bytes);
    return {
      kind: reader.varint() === 0 ? 'call' : 'stream',
      replica: reader.varint(),
      sequence: reader.varint(),
      decided: reader.varint(),
      timeMs: reader.varint(),
      request: reader.bytes.subarray(reader.at),
    };
  } catch (cause) {
    if (cause instanceof Malformed) return undefined;
    throw cause;
  }
}

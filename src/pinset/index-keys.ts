import { hash } from 'node:crypto';
import type { PinKey } from '../model/pin.ts';
import type { IndexedFields } from './codec/pin-value.ts';
import { INDEXED_TEXT_BYTES_MAX } from './constants.ts';

// Keys of the index tables. Texts are escaped so that they can end with a zero byte and still order as they did:
// 00 -> 01 01, 01 -> 01 02. A longer text is cut at 256 bytes and its hash stands behind the zero byte.
//
//   by name       namespace, text, 00, [hash of the text, 8 bytes], key hash
//   by created    milliseconds (6 bytes), key hash, [namespace]
//   by expiry     milliseconds (6 bytes), key hash, [namespace]
//   by metadata   key, 00, text, 00, [hash of the text], key hash, [namespace]
//
// Key hash: the first 8 bytes of the pin key. A namespace is its local number: one byte below 128, else three; as the
// last element it is left out for the default namespace (number 0). It keeps the claims of several namespaces on one CID apart.

export const KEY_HASH_BYTES = 8;
const TIME_BYTES = 6;
const TIME_MAX = 2 ** 48 - 1;
const TEXT_END = 0;
const ESCAPE = 1;

const scratch = Buffer.allocUnsafeSlow(2048);
/** The same bytes: slices of it are copies that V8 keeps among its objects, which costs a third of a new Buffer. */
const plainScratch = new Uint8Array(scratch.buffer);
let at = 0;

export function nameKey(key: PinKey, namespace: number, fields: IndexedFields): Uint8Array {
  at = 0;
  putNamespace(namespace);
  putText(fields.bytes, fields.nameAt, fields.nameEnd);
  putKeyHash(key);
  return taken();
}

export function timeKey(key: PinKey, namespace: number, timeMs: number): Uint8Array {
  at = 0;
  putTime(timeMs);
  putKeyHash(key);
  if (namespace !== 0) putNamespace(namespace);
  return taken();
}

export function metadataKey(key: PinKey, namespace: number, prefix: Uint8Array, value: Uint8Array): Uint8Array {
  at = 0;
  scratch.set(prefix, 0);
  at = prefix.length;
  putText(value, 0, value.length);
  putKeyHash(key);
  if (namespace !== 0) putNamespace(namespace);
  return taken();
}

/** What all entries of a metadata key begin with. */
export function metadataPrefix(metadataKey: string): Uint8Array {
  at = 0;
  const text = Buffer.from(metadataKey);
  putText(text, 0, text.length);
  return taken();
}

/** What all entries of exactly that name begin with. */
export function nameEqualsPrefix(namespace: number, name: Uint8Array): Uint8Array {
  at = 0;
  putNamespace(namespace);
  putText(name, 0, name.length);
  return taken();
}

/** What all entries of names with that prefix begin with; for a long one others too. */
export function namePrefix(namespace: number, prefix: Uint8Array): Uint8Array {
  at = 0;
  putNamespace(namespace);
  putEscaped(prefix, 0, prefix.length);
  return taken();
}

export function metadataEqualsPrefix(prefix: Uint8Array, value: Uint8Array): Uint8Array {
  at = 0;
  scratch.set(prefix, 0);
  at = prefix.length;
  putText(value, 0, value.length);
  return taken();
}

/** The key before which all entries of an earlier time lie. */
export function timeBound(timeMs: number): Uint8Array {
  at = 0;
  putTime(timeMs);
  return taken();
}

/** The least key after all that begin with the prefix. */
export function after(prefix: Uint8Array): Uint8Array {
  const next = Buffer.from(prefix);
  for (let i = next.length - 1; i >= 0; i--) {
    if (next[i] === 255) continue;
    next[i] = (next[i] as number) + 1;
    return next.subarray(0, i + 1);
  }
  return Buffer.alloc(prefix.length + 1, 255);
}

/** Where the key hash stands in an entry of the table by name; by time; by metadata. */
export function hashInNameKey(entry: Uint8Array): Uint8Array {
  return entry.subarray(entry.length - KEY_HASH_BYTES);
}

export function hashInTimeKey(entry: Uint8Array): Uint8Array {
  return entry.subarray(TIME_BYTES, TIME_BYTES + KEY_HASH_BYTES);
}

export function hashInMetadataKey(entry: Uint8Array): Uint8Array {
  const textEnd = entry.indexOf(TEXT_END, entry.indexOf(TEXT_END) + 1) + 1;
  // A text that was cut has its own hash first.
  const from = entry.length - textEnd >= 2 * KEY_HASH_BYTES ? textEnd + KEY_HASH_BYTES : textEnd;
  return entry.subarray(from, from + KEY_HASH_BYTES);
}

function putNamespace(number: number): void {
  if (number < 0x80) {
    scratch[at++] = number;
    return;
  }
  scratch[at++] = 0x80 | (number >> 16);
  scratch[at++] = number >> 8;
  scratch[at++] = number;
}

function putTime(timeMs: number): void {
  scratch.writeUIntBE(Math.min(timeMs, TIME_MAX), at, TIME_BYTES);
  at += TIME_BYTES;
}

function putKeyHash(key: PinKey): void {
  for (let i = 0; i < KEY_HASH_BYTES; i++) scratch[at++] = key[i] as number;
}

function putText(bytes: Uint8Array, from: number, end: number): void {
  const isWhole = putEscaped(bytes, from, end);
  scratch[at++] = TEXT_END;
  if (isWhole) return;
  const textHash = hash('sha256', bytes.subarray(from, end), 'buffer');
  for (let i = 0; i < KEY_HASH_BYTES; i++) scratch[at++] = textHash[i] as number;
}

/** Whether all of it had room. */
function putEscaped(bytes: Uint8Array, from: number, end: number): boolean {
  const limit = at + INDEXED_TEXT_BYTES_MAX;
  for (let i = from; i < end; i++) {
    const byte = bytes[i] as number;
    const isEscaped = byte <= ESCAPE;
    if (at + (isEscaped ? 2 : 1) > limit) return false;
    if (isEscaped) scratch[at++] = ESCAPE;
    scratch[at++] = isEscaped ? byte + 1 : byte;
  }
  return true;
}

function taken(): Uint8Array {
  return plainScratch.slice(0, at);
}

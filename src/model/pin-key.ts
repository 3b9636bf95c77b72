import { hash } from 'node:crypto';
import { checkCid } from './cid.ts';
import { invalidField } from './errors.ts';
import { defaultNamespace, namespacePattern, type PinKey } from './pin.ts';

export const bucketCount = 65_536;
const keyHashBytes = 8;

export function pinKey(cid: Uint8Array, namespace: string): PinKey {
  const stored = namespace === defaultNamespace ? '' : namespace;
  const key = new Uint8Array(keyHashBytes + cid.length + 1 + stored.length);
  // One byte a character: Node makes a string of a hash in a third of the time of a Buffer.
  const cidHash = hash('sha256', cid, 'binary');
  for (let i = 0; i < keyHashBytes; i++) key[i] = cidHash.charCodeAt(i);
  key.set(cid, keyHashBytes);
  for (let i = 0; i < stored.length; i++) key[keyHashBytes + cid.length + 1 + i] = stored.charCodeAt(i);
  return key;
}

export function pinKeyParts(key: PinKey): { cid: Uint8Array; namespace: string } {
  const end = endOfCid(key);
  const cid = key.subarray(keyHashBytes, end);
  if (end === key.length - 1) return { cid, namespace: defaultNamespace };
  const stored = Buffer.from(key.buffer, key.byteOffset + end + 1, key.length - end - 1).toString('latin1');
  return { cid, namespace: stored };
}

/** First key of all claims on that CID version; they end before the same with the last byte + 1. */
export function pinKeyPrefix(cid: Uint8Array): Uint8Array {
  return pinKey(cid, defaultNamespace);
}

/** The digest bucket of a key, or of the first 8 bytes of one: its first 16 bits. */
export function bucketOf(key: Uint8Array): number {
  return ((key[0] as number) << 8) | (key[1] as number);
}

/** Checks a key that came from outside. Throws INVALID_ARGUMENT. */
export function checkPinKey(key: Uint8Array): void {
  if (key.length < keyHashBytes + 3) throw invalidField('pin_key', 'too short');
  const end = endOfCid(key);
  const cid = key.subarray(keyHashBytes, end);
  checkCid(cid, 'pin_key');
  if (end < key.length - 1) checkStoredNamespace(pinKeyParts(key).namespace);
  const cidHash = hash('sha256', cid, 'binary');
  for (let i = 0; i < keyHashBytes; i++) {
    if (key[i] !== cidHash.charCodeAt(i)) throw invalidField('pin_key', 'its hash is not that of its CID');
  }
}

/** The default one is stored as nothing: spelt out it would be a second key of the same pin. */
function checkStoredNamespace(namespace: string): void {
  if (namespace === defaultNamespace || !namespacePattern.test(namespace)) {
    throw invalidField('pin_key', 'its namespace is malformed');
  }
}

// Namespaces have no zero byte, so the last one ends the CID.
function endOfCid(key: PinKey): number {
  return key.lastIndexOf(0);
}

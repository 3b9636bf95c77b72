import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign as signBytes,
  verify as verifyBytes,
} from 'node:crypto';
import { byteString } from '../model/bytes.ts';
import { peerIdOfPublicKey } from '../model/peer-id.ts';

/** Signs for one identity. Synchronous, because what is signed is decided inside a transaction (about 0.05 ms). */
export interface Signer {
  readonly peerId: string;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 64 bytes of Ed25519 over exactly these bytes: callers put their domain in front (`signed`). */
  sign(message: Uint8Array): Uint8Array;
}

// DER around the raw keys, https://www.rfc-editor.org/rfc/rfc8410
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex');
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');
const seedBytes = 32;
export const signatureBytes = 64;

/** Signer of the key with this seed (32 bytes, RFC 8032). */
export function ed25519Signer(seed: Uint8Array): Signer {
  if (seed.length !== seedBytes) throw new Error(`an Ed25519 seed has ${seedBytes} bytes, not ${seed.length}`);
  const key = createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const publicKey = new Uint8Array(spki.subarray(spkiPrefix.length));
  return {
    peerId: peerIdOfPublicKey(publicKey),
    publicKey,
    sign: (message) => new Uint8Array(signBytes(null, message, key)),
  };
}

/** Whether the signature is that key's over exactly these bytes. Malformed keys and signatures are false. */
export function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== signatureBytes) return false;
  const key = keyObject(publicKey);
  return key !== undefined && verifyBytes(null, message, key, signature);
}

/** Domain in front of the bytes, so that a signature of one kind never passes for another. */
export function signed(domain: string, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(domain, 'latin1'), bytes]);
}

// Importing a key costs as much as a third of a verification. A cache of pure values: it changes no answer.
const KEYS_CACHED_MAX = 1024;
const keys = new Map<string, KeyObject>();

function keyObject(publicKey: Uint8Array): KeyObject | undefined {
  const name = byteString(publicKey);
  const known = keys.get(name);
  if (known !== undefined) return known;
  try {
    const key = createPublicKey({ key: Buffer.concat([spkiPrefix, publicKey]), format: 'der', type: 'spki' });
    if (keys.size >= KEYS_CACHED_MAX) keys.delete(keys.keys().next().value as string);
    keys.set(name, key);
    return key;
  } catch {
    return undefined;
  }
}

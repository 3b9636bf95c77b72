import { createSecretKey, type KeyObject } from 'node:crypto';
import { asCrypto, defaultCrypto, nodeCrypto } from '@chainsafe/libp2p-noise/crypto';

/** Below this WebAssembly is faster than a cipher of Node, bytes. */
const SMALL_BYTES_MAX = 700;

/**
 * The cryptography of Noise as its package has it, but that Node is handed a key that it has seen before: for one given as bytes it makes, and throws
 * away, two errors with their stacks at every message (Node 24), which takes longer than to encrypt 30 KB.
 */
export const noiseCrypto: typeof defaultCrypto = {
  ...defaultCrypto,
  chaCha20Poly1305Encrypt: (text, nonce, ad, key) =>
    text.byteLength < SMALL_BYTES_MAX
      ? asCrypto.chaCha20Poly1305Encrypt(text, nonce, ad, key)
      : nodeCrypto.chaCha20Poly1305Encrypt(text, nonce, ad, known(key)),
  chaCha20Poly1305Decrypt: (text, nonce, ad, key, into) =>
    text.byteLength < SMALL_BYTES_MAX
      ? asCrypto.chaCha20Poly1305Decrypt(text, nonce, ad, key, into)
      : nodeCrypto.chaCha20Poly1305Decrypt(text, nonce, ad, known(key), into),
};

/** A session has one array for each direction, to its end. */
const keys = new WeakMap<Uint8Array, KeyObject>();

/** Node takes either; the package's types know the bytes alone. */
function known(key: Uint8Array): Uint8Array {
  const object = keys.get(key) ?? createSecretKey(key);
  keys.set(key, object);
  return object as unknown as Uint8Array;
}

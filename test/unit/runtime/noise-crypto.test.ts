import { randomBytes } from 'node:crypto';
import { defaultCrypto } from '@chainsafe/libp2p-noise/crypto';
import t from 'tap';
import { noiseCrypto } from '../../../src/runtime/noise-crypto.ts';

const [key, nonce, ad] = [new Uint8Array(randomBytes(32)), new Uint8Array(12).fill(7), new Uint8Array(randomBytes(5))];
const sizes = [0, 1, 683, 684, 699, 700, 1_199, 1_200, 65_519];

t.test('what it encrypts is what the package encrypts', async (t) => {
  for (const size of sizes) {
    const text = new Uint8Array(randomBytes(size));
    const wanted = defaultCrypto.chaCha20Poly1305Encrypt(text, nonce, ad, key).subarray();
    const sealed = noiseCrypto.chaCha20Poly1305Encrypt(text, nonce, ad, key);
    t.ok(Buffer.from(wanted).equals(sealed.subarray()), `${size} bytes`);
    t.ok(Buffer.from(text).equals(noiseCrypto.chaCha20Poly1305Decrypt(sealed, nonce, ad, key).subarray()));
  }
});

t.test('what was changed, or is of another key, is refused', async (t) => {
  for (const size of sizes) {
    const sealed = noiseCrypto.chaCha20Poly1305Encrypt(new Uint8Array(size), nonce, ad, key).subarray();
    const other = key.map((byte) => byte ^ 1);
    t.throws(() => noiseCrypto.chaCha20Poly1305Decrypt(sealed, nonce, ad, other));
    const changed = Uint8Array.from(sealed);
    changed[size >> 1] = (changed[size >> 1] as number) ^ 1;
    t.throws(() => noiseCrypto.chaCha20Poly1305Decrypt(changed, nonce, ad, key));
  }
});

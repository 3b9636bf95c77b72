import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import t from 'tap';
import { formatPeerId, isPeerIdBytes, parsePeerId, publicKeyOf } from '../../../src/model/peer-id.ts';
import { ed25519Signer, signed, verifyEd25519 } from '../../../src/runtime/ed25519.ts';

const seed = new Uint8Array(32).fill(7);

t.test('signs, and names peers, as libp2p does', async (t) => {
  const key = await generateKeyPairFromSeed('Ed25519', seed);
  const signer = ed25519Signer(seed);
  t.equal(signer.peerId, peerIdFromPrivateKey(key).toString());
  t.same(signer.publicKey, key.publicKey.raw);
  const message = Buffer.from('hello');
  t.same(signer.sign(message), await key.sign(message));
  t.ok(verifyEd25519(publicKeyOf(signer.peerId), message, await key.sign(message)));
});

t.test('refuses what was changed, malformed, or of another domain', async (t) => {
  const signer = ed25519Signer(seed);
  const message = Buffer.from('hello');
  const signature = signer.sign(signed('a/1', message));
  t.ok(verifyEd25519(signer.publicKey, signed('a/1', message), signature));
  t.notOk(verifyEd25519(signer.publicKey, signed('b/1', message), signature));
  t.notOk(verifyEd25519(signer.publicKey, signed('a/1', message), signature.subarray(1)));
  t.notOk(verifyEd25519(signer.publicKey.subarray(1), signed('a/1', message), signature));
  const other = ed25519Signer(new Uint8Array(32).fill(8));
  t.notOk(verifyEd25519(other.publicKey, signed('a/1', message), signature));
});

t.test('peer IDs go from text to bytes and back; others are refused', async (t) => {
  const { peerId } = ed25519Signer(seed);
  const bytes = parsePeerId(peerId);
  t.equal(formatPeerId(bytes), peerId);
  t.ok(isPeerIdBytes(bytes));
  for (const text of ['', 'x'.repeat(52), '0'.repeat(52), 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N']) {
    t.throws(() => parsePeerId(text), { code: 'INVALID_ARGUMENT' });
  }
  t.throws(() => formatPeerId(bytes.subarray(1)), { code: 'INVALID_ARGUMENT' });
  t.throws(() => publicKeyOf(new Uint8Array(38)), { code: 'INVALID_ARGUMENT' });
});

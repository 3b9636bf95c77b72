import { base58btc } from 'multiformats/bases/base58';
import { byteString } from './bytes.ts';
import { invalidField } from './errors.ts';

/**
 * Peer IDs are Ed25519 public keys: the identity multihash (0x00, length 36) of libp2p's public key message (key type
 * 1, Ed25519; 32 bytes of key). Their text is base58 of that, `12D3KooW...`.
 * https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md
 */
const prefix = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20);
export const publicKeyBytes = 32;
export const peerIdBytes = prefix.length + publicKeyBytes;
/** All Ed25519 peer IDs have as many characters: the prefix fixes the leading digits. */
export const peerIdTextLength = 52;

export function peerIdOfPublicKey(publicKey: Uint8Array): string {
  if (publicKey.length !== publicKeyBytes) throw new Error(`a public key of ${publicKey.length} bytes`);
  const bytes = new Uint8Array(peerIdBytes);
  bytes.set(prefix);
  bytes.set(publicKey, prefix.length);
  return base58btc.baseEncode(bytes);
}

// Base58 costs 10 us and every message names some peers. A cache of pure values, of the few peers there are.
const TEXTS_CACHED_MAX = 4_096;
const texts = new Map<string, string>();

/** Binary to text. Throws INVALID_ARGUMENT naming `field` for what is not an Ed25519 peer ID. */
export function formatPeerId(bytes: Uint8Array, field = 'peer_id'): string {
  const key = byteString(bytes);
  const known = texts.get(key);
  if (known !== undefined) return known;
  checkPeerIdBytes(bytes, field);
  const text = base58btc.baseEncode(bytes);
  if (texts.size >= TEXTS_CACHED_MAX) texts.clear();
  texts.set(key, text);
  return text;
}

/** Text to binary. Throws INVALID_ARGUMENT naming `field` for what is not an Ed25519 peer ID. */
export function parsePeerId(text: string, field = 'peer_id'): Uint8Array {
  if (text.length !== peerIdTextLength) throw notPeerId(text, field);
  let bytes: Uint8Array;
  try {
    bytes = base58btc.baseDecode(text);
  } catch {
    throw notPeerId(text, field);
  }
  checkPeerIdBytes(bytes, field);
  return bytes;
}

/** Throws INVALID_ARGUMENT naming `field` for what is not the text of an Ed25519 peer ID. */
export function checkPeerId(text: string, field: string): void {
  parsePeerId(text, field);
}

/** The 32 bytes of Ed25519 key in a peer ID, text or binary. Throws INVALID_ARGUMENT. */
export function publicKeyOf(peerId: string | Uint8Array): Uint8Array {
  const bytes = typeof peerId === 'string' ? parsePeerId(peerId) : peerId;
  checkPeerIdBytes(bytes, 'peer_id');
  return bytes.subarray(prefix.length);
}

export function isPeerId(text: string): boolean {
  try {
    parsePeerId(text);
    return true;
  } catch {
    return false;
  }
}

export function isPeerIdBytes(bytes: Uint8Array): boolean {
  return bytes.length === peerIdBytes && prefix.every((byte, i) => bytes[i] === byte);
}

function checkPeerIdBytes(bytes: Uint8Array, field: string): void {
  if (!isPeerIdBytes(bytes)) throw invalidField(field, 'not the peer ID of an Ed25519 key');
}

function notPeerId(text: string, field: string): Error {
  return invalidField(field, `"${text.slice(0, 80)}" is not the peer ID of an Ed25519 key (12D3KooW...)`);
}

import { base58btc } from 'multiformats/bases/base58';
import { byteString } from '../../model/bytes.ts';
import { invalidField } from '../../model/errors.ts';
import { PEER_ID_CACHE_MAX } from '../constants.ts';

// Both directions are pure, and base58 costs 10 us; a cluster has few peers.
const bytesOfText = new Map<string, Uint8Array>();
const textOfBytes = new Map<string, string>();

/** Peer ID as text (base58 of its multihash) to bytes. Throws INVALID_ARGUMENT. The bytes must not be changed. */
export function peerIdBytes(text: string): Uint8Array {
  let bytes = bytesOfText.get(text);
  if (bytes === undefined) {
    try {
      bytes = base58btc.baseDecode(text);
    } catch (cause) {
      throw invalidField('peer_id', `"${text.slice(0, 80)}" is not a peer ID (${(cause as Error).message})`);
    }
    remember(bytesOfText, text, bytes);
  }
  return bytes;
}

export function peerIdText(bytes: Uint8Array): string {
  const key = byteString(bytes);
  let text = textOfBytes.get(key);
  if (text === undefined) {
    text = base58btc.baseEncode(bytes);
    remember(textOfBytes, key, text);
  }
  return text;
}

function remember<V>(cache: Map<string, V>, key: string, value: V): void {
  if (cache.size >= PEER_ID_CACHE_MAX) cache.clear();
  cache.set(key, value);
}

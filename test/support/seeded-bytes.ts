import { createHash } from 'node:crypto';

/** Bytes that look random and are the same for the same seed. */
export function seededBytes(seed: string, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let block: Uint8Array = createHash('sha512').update(seed).digest();
  for (let at = 0; at < length; at += block.length) {
    bytes.set(block.subarray(0, length - at), at);
    block = createHash('sha512').update(block).digest();
  }
  return bytes;
}

import type { PinKey } from '../model/pin.ts';

/** A number of 32 bits for a text, the same everywhere (FNV-1a). */
export function textHash(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mixed(hash);
}

/** Of the hash that a pin key begins with, so that claims on one CID lie together. */
export function keyHash(key: PinKey): number {
  const word = (at: number) =>
    ((key[at] ?? 0) << 24) | ((key[at + 1] ?? 0) << 16) | ((key[at + 2] ?? 0) << 8) | (key[at + 3] ?? 0);
  return mixed(word(0)) ^ word(4);
}

/**
 * Weighted rendezvous hashing: of several, that with the least distance to a key is it as often as its share of the whole says; and
 * if one goes, only what was its own goes to others.
 */
export function distance(key: number, hash: number, share: number): number {
  const uniform = (mixed(key ^ hash) + 0.5) / 2 ** 32;
  return share > 0 ? -Math.log(uniform) / share : Number.POSITIVE_INFINITY;
}

/** The finalizer of MurmurHash3: every bit of the input turns about half of the bits of the result. Unsigned. */
function mixed(bits: number): number {
  let hash = bits;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

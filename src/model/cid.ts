import { base32 } from 'multiformats/bases/base32';
import { CID } from 'multiformats/cid';
import { invalidField, PinfoldError } from './errors.ts';
import { pinLimits } from './pin.ts';

/** Multicodec codes, https://github.com/multiformats/multicodec */
const dagPbCode = 0x70;
const sha256Code = 0x12;
const sha256Bytes = 32;
const cidV0Bytes = 34;
const usualBytes = 36;

/** A CID in text form (any multibase, version 0 or 1) to bytes. Throws INVALID_CID naming `field`. */
export function parseCid(text: string, field = 'cid'): Uint8Array {
  if (text.length === 59 && text.charCodeAt(0) === 98 /* b */) {
    const fast = decodeBase32V1(text);
    if (fast !== undefined) return fast;
  }
  let bytes: Uint8Array;
  try {
    bytes = CID.parse(text, text.startsWith('b') ? base32 : undefined).bytes;
  } catch (cause) {
    const shown = text.length > 80 ? `${text.slice(0, 80)}...` : text;
    throw new PinfoldError('INVALID_CID', `"${shown}" is not a CID; it would look like bafybei... or Qm...`, {
      fields: [{ field, problem: 'is not a CID' }],
      cause,
    });
  }
  checkCid(bytes, field);
  return bytes;
}

export function formatCid(cid: Uint8Array): string {
  return isV0(cid) ? CID.decode(cid).toString() : `b${encodeBase32(cid)}`;
}

/** Checks a CID in binary form from outside. Throws INVALID_CID naming `field`. */
export function checkCid(cid: Uint8Array, field = 'cid'): void {
  if (cid.length === usualBytes && isUsual(cid)) return;
  if (cid.length > pinLimits.cidBytesMax) {
    throw invalidField(field, `${cid.length} bytes; at most ${pinLimits.cidBytesMax} are allowed`, 'INVALID_CID');
  }
  try {
    CID.decode(cid);
  } catch (cause) {
    throw invalidField(field, `not a CID (${(cause as Error).message})`, 'INVALID_CID');
  }
}

function isV0(cid: Uint8Array): boolean {
  return cid.length === cidV0Bytes && cid[0] === sha256Code && cid[1] === sha256Bytes;
}

/** The same content as a CID of version 1: what wishes and status rows are keyed by. */
export function toV1(cid: Uint8Array): Uint8Array {
  if (!isV0(cid)) return cid;
  const v1 = new Uint8Array(cid.length + 2);
  v1[0] = 1;
  v1[1] = dagPbCode;
  v1.set(cid, 2);
  return v1;
}

/** The CID of version 0 with the same content, if there is one (dag-pb, SHA-256). */
export function toV0(cid: Uint8Array): Uint8Array | undefined {
  if (isV0(cid)) return cid;
  const isPair =
    cid.length === cidV0Bytes + 2 &&
    cid[0] === 1 &&
    cid[1] === dagPbCode &&
    cid[2] === sha256Code &&
    cid[3] === sha256Bytes;
  return isPair ? cid.subarray(2) : undefined;
}

// RFC 4648 base32, lower case, no padding: by hand, because every operation of a bulk stream passes here.
const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';
const values = new Int8Array(128).fill(-1);
for (let i = 0; i < alphabet.length; i++) values[alphabet.charCodeAt(i)] = i;

/** Decodes the common case, 36 bytes of CIDv1 with SHA-256; anything unusual is left to the full parser. */
function decodeBase32V1(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(usualBytes);
  let buffer = 0;
  let bits = 0;
  let length = 0;
  for (let i = 1; i < text.length; i++) {
    const value = values[text.charCodeAt(i) & 127] as number;
    if (value < 0 || text.charCodeAt(i) > 127) return undefined;
    buffer = ((buffer << 5) | value) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[length++] = buffer >> bits;
    }
  }
  const leftOver = buffer & ((1 << bits) - 1);
  return length === usualBytes && leftOver === 0 && isUsual(bytes) ? bytes : undefined;
}

/** The common case of so many bytes: CIDv1 with SHA-256. Looked at by hand, as every operation passes here, own or of others. */
function isUsual(cid: Uint8Array): boolean {
  return cid[0] === 1 && (cid[1] as number) < 0x80 && cid[2] === sha256Code && cid[3] === sha256Bytes;
}

/** Characters are gathered here: a string that grows one by one leaves as many behind. */
let characters = Buffer.allocUnsafeSlow(256);
const alphabetCodes = Buffer.from(alphabet, 'latin1');

function encodeBase32(bytes: Uint8Array): string {
  const length = Math.ceil((bytes.length * 8) / 5);
  if (characters.length < length) characters = Buffer.allocUnsafeSlow(length);
  let buffer = 0;
  let bits = 0;
  let at = 0;
  for (let i = 0; i < bytes.length; i++) {
    buffer = ((buffer << 8) | (bytes[i] as number)) & 0xfff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      characters[at++] = alphabetCodes[(buffer >> bits) & 31] as number;
    }
  }
  if (bits > 0) characters[at++] = alphabetCodes[(buffer << (5 - bits)) & 31] as number;
  return characters.toString('latin1', 0, at);
}

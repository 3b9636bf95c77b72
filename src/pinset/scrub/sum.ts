const modulus = 1n << 128n;

/** The first 16 bytes as a number, big-endian. */
export function sumOf(bytes: Uint8Array): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  return (view.getBigUint64(0) << 64n) | view.getBigUint64(8);
}

/** Mod 2^128. */
export function addSums(a: bigint, b: bigint): bigint {
  return (a + b) % modulus;
}

/** What added to `b` makes `a`, mod 2^128. */
export function differenceOf(a: bigint, b: bigint): bigint {
  return (a - b + modulus) % modulus;
}

export function sumBytes(sum: bigint): Uint8Array {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64BE(sum >> 64n, 0);
  bytes.writeBigUInt64BE(sum & 0xffff_ffff_ffff_ffffn, 8);
  return bytes;
}

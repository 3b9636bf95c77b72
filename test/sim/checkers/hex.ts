export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

/** Enough of a replica's name to tell it from the others of a world. */
export function short(rid: string): string {
  return rid.slice(0, 6);
}

export function numberKey(number: number): Uint8Array {
  const key = Buffer.allocUnsafe(4);
  key.writeUInt32BE(number);
  return key;
}

export const LOG_KEY_BYTES = 12;

/** Key of a batch in the log. */
export function logKey(replica: number, last: number): Uint8Array {
  const key = Buffer.allocUnsafe(LOG_KEY_BYTES);
  key.writeUInt32BE(replica, 0);
  key.writeUInt32BE(Math.floor(last / 0x1_0000_0000), 4);
  key.writeUInt32BE(last >>> 0, 8);
  return key;
}

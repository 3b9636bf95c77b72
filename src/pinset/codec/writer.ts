/**
 * Writes protobuf's wire format into one buffer that is used again and again: rows are made by the ten thousand a
 * second, and a fresh buffer each costs more than what is written into it.
 */
export class Writer {
  bytes: Buffer;
  at = 0;

  constructor(size = 64 * 1024) {
    this.bytes = Buffer.allocUnsafeSlow(size);
  }

  /** Makes room for so many more bytes. */
  ensure(more: number): void {
    if (this.at + more <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, this.at + more));
    this.bytes.copy(larger, 0, 0, this.at);
    this.bytes = larger;
  }

  /** Room must have been made (10 bytes). `n` is a non-negative safe integer. */
  varint(n: number): void {
    const bytes = this.bytes;
    let at = this.at;
    let rest = n;
    while (rest > 0x7fffffff) {
      bytes[at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest > 0x7f) {
      bytes[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    this.at = at;
  }

  varintField(tag: number, n: number): void {
    if (n === 0) return;
    this.ensure(11);
    this.bytes[this.at++] = tag;
    this.varint(n);
  }

  bytesField(tag: number, value: Uint8Array): void {
    this.ensure(value.length + 11);
    this.bytes[this.at++] = tag;
    this.varint(value.length);
    this.bytes.set(value, this.at);
    this.at += value.length;
  }

  textField(tag: number, text: string): void {
    this.ensure(text.length * 3 + 11);
    this.bytes[this.at++] = tag;
    if (text.length <= 42) {
      // At most 126 bytes of UTF-8, so the length takes one byte and can follow.
      const size = this.bytes.write(text, this.at + 1, 'utf8');
      this.bytes[this.at] = size;
      this.at += size + 1;
      return;
    }
    this.varint(Buffer.byteLength(text));
    this.at += this.bytes.write(text, this.at, 'utf8');
  }

  /** Unsigned, 8 bytes, big-endian. Room must have been made. */
  uint64(n: number): void {
    const { bytes, at } = this;
    const high = Math.floor(n / 0x1_0000_0000);
    const low = n >>> 0;
    bytes[at] = high >>> 24;
    bytes[at + 1] = high >>> 16;
    bytes[at + 2] = high >>> 8;
    bytes[at + 3] = high;
    bytes[at + 4] = low >>> 24;
    bytes[at + 5] = low >>> 16;
    bytes[at + 6] = low >>> 8;
    bytes[at + 7] = low;
    this.at = at + 8;
  }

  /** What was written, as bytes of their own, and begins anew. */
  take(): Uint8Array {
    const taken = Buffer.allocUnsafe(this.at);
    this.bytes.copy(taken, 0, 0, this.at);
    this.at = 0;
    return taken;
  }
}

/** Bytes of a varint. */
export function varintSize(n: number): number {
  if (n < 0x80) return 1;
  if (n < 0x4000) return 2;
  if (n < 0x20_0000) return 3;
  if (n < 0x1000_0000) return 4;
  if (n < 0x8_0000_0000) return 5;
  if (n < 0x400_0000_0000) return 6;
  if (n < 0x2_0000_0000_0000) return 7;
  return 8;
}

import { isUtf8 } from 'node:buffer';

/** The bytes are not what they should be. Callers, who know where the bytes are from, turn it into a PinfoldError. */
export class Malformed extends Error {
  override readonly name = 'Malformed';
}

export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
export const FIXED32 = 5;

/** Reads protobuf's wire format. */
export class Reader {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get more(): boolean {
    return this.at < this.end;
  }

  /** A safe integer: whatever we write is one. */
  varint(): number {
    const { bytes, end } = this;
    let at = this.at;
    let result = 0;
    let factor = 1;
    for (;;) {
      if (at >= end) throw new Malformed('cut short');
      const byte = bytes[at++] as number;
      result += (byte & 0x7f) * factor;
      if (byte < 0x80) break;
      factor *= 128;
      if (factor > 0x2_0000_0000_0000) throw new Malformed('a number is too large');
    }
    if (result > Number.MAX_SAFE_INTEGER) throw new Malformed('a number is too large');
    this.at = at;
    return result;
  }

  uint32(): number {
    const value = this.varint();
    if (value > 0xffffffff) throw new Malformed('a number is too large');
    return value;
  }

  sint32(): number {
    const value = this.uint32();
    return (value >>> 1) ^ -(value & 1);
  }

  /** Reads a length; the field's bytes lie from `at` on. */
  length(): number {
    const length = this.varint();
    if (length > this.end - this.at) throw new Malformed('cut short');
    return length;
  }

  /** A view, not a copy. */
  view(): Uint8Array {
    const length = this.length();
    const view = this.bytes.subarray(this.at, this.at + length);
    this.at += length;
    return view;
  }

  text(): string {
    const view = this.view();
    if (view.length === 0) return '';
    if (!isUtf8(view)) throw new Malformed('a text is not UTF-8');
    return Buffer.from(view.buffer, view.byteOffset, view.length).toString('utf8');
  }

  /** Reader of a message that lies inside; goes on behind it. */
  message(): Reader {
    const length = this.length();
    const inner = new Reader(this.bytes, this.at, this.at + length);
    this.at += length;
    return inner;
  }

  /** Passes over a field that is not known. */
  skip(tag: number): void {
    if (tag >>> 3 === 0) throw new Malformed('field 0');
    const wireType = tag & 7;
    if (wireType === VARINT) this.#skipVarint();
    else if (wireType === BYTES) this.view();
    else if (wireType === FIXED64) this.at += 8;
    else if (wireType === FIXED32) this.at += 4;
    else throw new Malformed(`wire type ${wireType}`);
    if (this.at > this.end) throw new Malformed('cut short');
  }

  #skipVarint(): void {
    for (let i = 0; i < 10; i++) {
      if (this.at >= this.end) throw new Malformed('cut short');
      if ((this.bytes[this.at++] as number) < 0x80) return;
    }
    throw new Malformed('a number is too long');
  }
}

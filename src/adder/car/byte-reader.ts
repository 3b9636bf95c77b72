import { PieceReader } from '../piece-reader.ts';
import { badCar } from './bad-car.ts';

/** Reads a CAR by lengths, and knows where it is. `what` says what is being read, for the error at an early end. */
export class ByteReader {
  readonly #reader: PieceReader;
  #offset = 0;

  constructor(pieces: AsyncIterable<Uint8Array>) {
    this.#reader = new PieceReader(pieces);
  }

  /** Bytes that were read. */
  get offset(): number {
    return this.#offset;
  }

  isAtEnd(): Promise<boolean> {
    return this.#reader.isAtEnd();
  }

  /** So many bytes, in place where one piece has them all. */
  async bytes(length: number, what: string): Promise<Uint8Array> {
    const bytes = await this.#reader.take(length);
    this.#offset += bytes.length;
    if (bytes.length < length) throw this.#cut(what);
    return bytes;
  }

  async skip(length: number, what: string): Promise<void> {
    for (let left = length; left > 0; ) {
      const part = await this.#reader.some(left);
      if (part === undefined) throw this.#cut(what);
      left -= part.length;
      this.#offset += part.length;
    }
  }

  async drain(): Promise<void> {
    for (;;) {
      const part = await this.#reader.some(Number.POSITIVE_INFINITY);
      if (part === undefined) return;
      this.#offset += part.length;
    }
  }

  /** An unsigned varint (https://github.com/multiformats/unsigned-varint) in its shortest form, up to `max`. */
  async varint(max: number, what: string): Promise<number> {
    const at = this.#offset;
    let value = 0;
    for (let shift = 1; ; shift *= 0x80) {
      const [byte = 0] = await this.bytes(1, what);
      value += (byte & 0x7f) * shift;
      if (value > max) throw badCar(at, `${what}: ${value} bytes or more; at most ${max}`);
      if (byte < 0x80) {
        if (byte === 0 && shift > 1) throw badCar(at, `${what}: a length that is not in its shortest form`);
        return value;
      }
      if (shift > 2 ** 42) throw badCar(at, `${what}: a length of too many bytes`);
    }
  }

  #cut(what: string) {
    return badCar(this.#offset, `ends inside ${what}`);
  }
}

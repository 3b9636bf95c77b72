import { badCar } from './bad-car.ts';

/** Reads a stream of pieces of any size by lengths. `what` says what is being read, for the error at an early end. */
export class ByteReader {
  readonly #pieces: AsyncIterator<Uint8Array>;
  #piece: Uint8Array = new Uint8Array(0);
  #offset = 0;

  constructor(pieces: AsyncIterable<Uint8Array>) {
    this.#pieces = pieces[Symbol.asyncIterator]();
  }

  /** Bytes that were read. */
  get offset(): number {
    return this.#offset;
  }

  async isAtEnd(): Promise<boolean> {
    return this.#piece.length === 0 && !(await this.#next());
  }

  /** So many bytes, in place where one piece has them all. */
  async bytes(length: number, what: string): Promise<Uint8Array> {
    if (this.#piece.length === 0 && length > 0 && !(await this.#next())) throw this.#cut(what);
    if (this.#piece.length >= length) return this.#take(length);
    const buffer = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      if (this.#piece.length === 0 && !(await this.#next())) throw this.#cut(what);
      const part = this.#take(Math.min(this.#piece.length, length - at));
      buffer.set(part, at);
      at += part.length;
    }
    return buffer;
  }

  async skip(length: number, what: string): Promise<void> {
    for (let left = length; left > 0; ) {
      if (this.#piece.length === 0 && !(await this.#next())) throw this.#cut(what);
      left -= this.#take(Math.min(this.#piece.length, left)).length;
    }
  }

  async drain(): Promise<void> {
    while (!(await this.isAtEnd())) this.#take(this.#piece.length);
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

  #take(length: number): Uint8Array {
    const part = this.#piece.subarray(0, length);
    this.#piece = this.#piece.subarray(length);
    this.#offset += length;
    return part;
  }

  async #next(): Promise<boolean> {
    for (;;) {
      const { done, value } = await this.#pieces.next();
      if (done === true) return false;
      this.#piece = value;
      if (value.length > 0) return true;
    }
  }

  #cut(what: string) {
    return badCar(this.#offset, `ends inside ${what}`);
  }
}

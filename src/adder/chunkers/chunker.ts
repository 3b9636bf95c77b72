/** Cuts content into the pieces that become the leaves of a file. Every byte once, in order; no empty pieces. */
export type Chunker = (content: AsyncIterable<Uint8Array>) => AsyncGenerator<Uint8Array, void, undefined>;

/** Fills buffers from pieces of any length. What `fill` has copied may be overwritten by the source. */
export class PieceReader {
  readonly #pieces: AsyncIterator<Uint8Array>;
  #piece: Uint8Array = new Uint8Array(0);

  constructor(content: AsyncIterable<Uint8Array>) {
    this.#pieces = content[Symbol.asyncIterator]();
  }

  /** Copies into `buffer` from `at` on, and resolves with where it ends: short of the end of the buffer only at the end of the content. */
  async fill(buffer: Uint8Array, at: number): Promise<number> {
    let end = at;
    while (end < buffer.length) {
      if (this.#piece.length === 0 && !(await this.#next())) break;
      const part = this.#piece.subarray(0, buffer.length - end);
      buffer.set(part, end);
      end += part.length;
      this.#piece = this.#piece.subarray(part.length);
    }
    return end;
  }

  /** As many bytes, in place where one piece has them all; fewer at the end of the content. */
  async take(length: number): Promise<Uint8Array> {
    if (this.#piece.length === 0) await this.#next();
    if (this.#piece.length >= length) {
      const whole = this.#piece.subarray(0, length);
      this.#piece = this.#piece.subarray(length);
      return whole;
    }
    return await this.#copied(length);
  }

  /** Ends the source, also before its end. */
  async close(): Promise<void> {
    await this.#pieces.return?.();
  }

  /** In memory of their own size: most files are much smaller than a chunk, and their blocks wait by the thousand. */
  async #copied(length: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    let missing = length;
    while (missing > 0 && (this.#piece.length > 0 || (await this.#next()))) {
      const part = this.#piece.subarray(0, missing);
      parts.push(part);
      missing -= part.length;
      this.#piece = this.#piece.subarray(part.length);
    }
    return Buffer.concat(parts);
  }

  async #next(): Promise<boolean> {
    for (;;) {
      const { done, value } = await this.#pieces.next();
      if (done === true) return false;
      this.#piece = value;
      if (value.length > 0) return true;
    }
  }
}

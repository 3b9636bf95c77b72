/** Reads a stream of pieces of any size in other sizes. */
export class PieceReader {
  readonly #pieces: AsyncIterator<Uint8Array>;
  #piece: Uint8Array = new Uint8Array(0);

  constructor(pieces: AsyncIterable<Uint8Array>) {
    this.#pieces = pieces[Symbol.asyncIterator]();
  }

  async isAtEnd(): Promise<boolean> {
    return this.#piece.length === 0 && !(await this.#next());
  }

  /** Up to so many bytes, in place, as soon as there are any. Undefined at the end. */
  async some(max: number): Promise<Uint8Array | undefined> {
    if (await this.isAtEnd()) return undefined;
    const part = this.#piece.subarray(0, max);
    this.#piece = this.#piece.subarray(part.length);
    return part;
  }

  /**
   * As many bytes, in place where one piece has them all; fewer at the end. Copies have memory of their own size: most files are much smaller
   * than a chunk, and their blocks wait by the thousand.
   */
  async take(length: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for (let missing = length; missing > 0; ) {
      const part = await this.some(missing);
      if (part === undefined) break;
      if (part.length === length) return part;
      parts.push(part);
      missing -= part.length;
    }
    return Buffer.concat(parts);
  }

  /** Copies into `buffer` from `at` on, and resolves with where it ends: short of the end of the buffer only at the end of the stream. */
  async fill(buffer: Uint8Array, at: number): Promise<number> {
    let end = at;
    while (end < buffer.length) {
      const part = await this.some(buffer.length - end);
      if (part === undefined) break;
      buffer.set(part, end);
      end += part.length;
    }
    return end;
  }

  /** Ends the source, also before its end. */
  async close(): Promise<void> {
    await this.#pieces.return?.();
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

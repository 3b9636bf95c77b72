/** A message that is longer, or has more in it, than is taken in. */
export class OversizedError extends RangeError {}

/** Pieces that are kept as they came: so many, and one more for so many bytes. More are put together: a piece costs more than a byte. */
const PIECES_KEPT = 64;
const BYTES_PER_PIECE = 64;

/** Cuts a stream of bytes into messages, each with its length in front as a varint. */
export class Frames {
  readonly #bytesMax: number;
  readonly #pieces: Uint8Array[] = [];
  #available = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Bytes of the message that is not complete yet. */
  get unfinishedBytes(): number {
    return this.#available;
  }

  /** Messages that are complete with this piece. Throws OversizedError for one that is longer than allowed. */
  *push(piece: Uint8Array): Generator<Uint8Array> {
    this.#pieces.push(piece);
    this.#available += piece.length;
    if (this.#pieces.length > PIECES_KEPT + this.#available / BYTES_PER_PIECE) this.#pieces.push(this.#join());
    for (let frame = this.#next(); frame !== undefined; frame = this.#next()) yield frame;
  }

  #next(): Uint8Array | undefined {
    const header = this.#header();
    if (header === undefined) return undefined;
    if (header.length > this.#bytesMax)
      throw new OversizedError(`a message of ${header.length} bytes; at most ${this.#bytesMax}`);
    const end = header.bytes + header.length;
    if (this.#available < end) return undefined;
    const all = this.#join();
    if (all.length > end) this.#pieces.push(all.subarray(end));
    this.#available = all.length - end;
    return all.subarray(header.bytes, end);
  }

  /** The first bytes as a varint; undefined while it is not complete. */
  #header(): { length: number; bytes: number } | undefined {
    let length = 0;
    let bytes = 0;
    for (const piece of this.#pieces) {
      for (const byte of piece) {
        length += (byte & 0x7f) * 2 ** (7 * bytes++);
        if (byte < 0x80) return { length, bytes };
        if (bytes > 4) throw new OversizedError('a length of more than 4 bytes');
      }
    }
    return undefined;
  }

  #join(): Uint8Array {
    const [first] = this.#pieces;
    const all = this.#pieces.length === 1 && first !== undefined ? first : Buffer.concat(this.#pieces);
    this.#pieces.length = 0;
    return all;
  }
}

import { CliError } from '../cli-error.ts';

/** A length in front of a section, bytes: more would be no number that this language knows. */
const lengthBytesMax = 7;

/** Follows the sections of a CAR that goes by, to see whether it ends where one of them does. Keeps nothing of it. */
export class CarCheck {
  /** Still to come of the section that was begun. */
  #left = 0;
  #length = 0;
  #lengthBytes = 0;
  #sections = 0;

  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#left === 0) {
        this.#lengthByte(bytes[at++] as number);
      } else {
        const some = Math.min(this.#left, bytes.length - at);
        this.#left -= some;
        at += some;
      }
    }
  }

  /** Blocks so far; the header is none. */
  get blocks(): number {
    return Math.max(0, this.#sections - 1);
  }

  end(): void {
    if (this.#sections === 0 || this.#left > 0 || this.#lengthBytes > 0) throw broken('it ends within a block');
  }

  #lengthByte(byte: number): void {
    this.#length += (byte & 0x7f) * 2 ** (7 * this.#lengthBytes++);
    if (byte >= 0x80) {
      if (this.#lengthBytes === lengthBytesMax) throw broken('a length is none');
      return;
    }
    if (this.#length === 0) throw broken('a section is empty');
    this.#left = this.#length;
    this.#length = 0;
    this.#lengthBytes = 0;
    this.#sections++;
  }
}

function broken(what: string): CliError {
  return new CliError(`what came is no whole CAR: ${what}`, 'BAD_ANSWER');
}

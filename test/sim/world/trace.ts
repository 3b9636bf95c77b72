import { createHash } from 'node:crypto';

/** What happened, in order. Its hash is the same wherever a seed is run; the lines themselves are kept when asked for. */
export class Trace {
  readonly lines: string[] = [];
  readonly #hash = createHash('sha256');
  readonly #isKept: boolean;
  #waiting = '';

  constructor(isKept: boolean) {
    this.#isKept = isKept;
  }

  add(nowMs: number, text: string): void {
    const line = `${nowMs.toFixed(3)} ${text}\n`;
    this.#waiting += line;
    if (this.#waiting.length > 8_192) this.#flush();
    if (this.#isKept) this.lines.push(line.slice(0, -1));
  }

  /** Beside the trace: it does not count for the hash. */
  note(nowMs: number, text: string): void {
    if (this.#isKept) this.lines.push(`${nowMs.toFixed(3)}   ${text}`);
  }

  /** To be called once. */
  hash(): string {
    this.#flush();
    return this.#hash.digest('hex').slice(0, 16);
  }

  #flush(): void {
    this.#hash.update(this.#waiting);
    this.#waiting = '';
  }
}

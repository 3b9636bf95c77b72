/** What became of one test file. A test is a direct child of its file: a `t.test` or a bare assertion. */
export interface FileResult {
  file: string;
  passed: number;
  failed: number;
  /** Name and reason of each test that was not run. */
  skipped: string[];
  /** The file's own TAP, to be shown when something failed. */
  tap: string[];
}

const diagnosisBegins = /^( *)---$/;
const result = /^( {4})?(not )?ok\b(?: \d+)?(?: - )?(.*)$/;
const directive = /# (SKIP|TODO)\b *(.*)$/i;

/** Reads the TAP of a run, line by line, into one result for each test file, given to `onFile` as soon as it is whole. */
export class TapReport {
  readonly #onFile: (result: FileResult) => void;
  #current: FileResult = emptyResult();
  /** Set inside a YAML diagnosis, whose text may look like anything: the line that ends it. */
  #diagnosisEnd: string | undefined;

  constructor(onFile: (result: FileResult) => void) {
    this.#onFile = onFile;
  }

  push(line: string): void {
    this.#current.tap.push(line);
    if (this.#diagnosisEnd !== undefined) {
      if (line === this.#diagnosisEnd) this.#diagnosisEnd = undefined;
      return;
    }
    const begins = diagnosisBegins.exec(line);
    if (begins !== null) {
      this.#diagnosisEnd = `${begins[1]}...`;
      return;
    }
    const found = result.exec(line);
    if (found === null) return;
    const [, indent, not, rest = ''] = found;
    if (indent === undefined) this.#endFile(not === undefined, rest);
    else this.#countTest(not === undefined, rest);
  }

  #countTest(ok: boolean, text: string): void {
    const skip = directive.exec(text);
    if (skip !== null) this.#current.skipped.push(describeSkip(text));
    else if (ok) this.#current.passed++;
    else this.#current.failed++;
  }

  #endFile(ok: boolean, text: string): void {
    const whole = this.#current;
    whole.file = text
      .replace(/ # time=.*$/, '')
      .replace(directive, '')
      .trim();
    if (directive.test(text) && ok) whole.skipped.push(describeSkip(text));
    // A file that crashed, timed out or held no test has no child to count.
    else if (!ok && whole.failed === 0) whole.failed++;
    this.#current = emptyResult();
    this.#onFile(whole);
  }
}

function emptyResult(): FileResult {
  return { file: '', passed: 0, failed: 0, skipped: [], tap: [] };
}

function describeSkip(text: string): string {
  const [, , reason = ''] = directive.exec(text) ?? [];
  const name = text.replace(directive, '').trim();
  return `${name}: ${reason === '' ? 'no reason given' : reason}`;
}

import { createInterface } from 'node:readline';
import { usageError } from './cli-error.ts';

/** CIDs from the arguments, or without any from standard input, one a line; blank lines and lines with # are skipped. */
export async function* cidsFrom(args: readonly string[]): AsyncIterable<string> {
  if (args.length > 0) {
    yield* args;
    return;
  }
  if (process.stdin.isTTY) throw usageError('name at least one CID, or pipe them in, one a line');
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
    const text = line.trim();
    if (text !== '' && !text.startsWith('#')) yield text;
  }
}

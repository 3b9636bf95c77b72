import type { Random } from '../runtime/random.ts';
import { configInvalid } from './problem.ts';

export const secretBytes = 32;

export function createSecret(random: Random): Uint8Array {
  return random.bytes(secretBytes);
}

/** The form in files and variables: 64 hexadecimal digits. */
export function encodeSecret(secret: Uint8Array): string {
  return Buffer.from(secret).toString('hex');
}

/** `at` says where the text is from. Errors: `CONFIG_INVALID`, which never quotes the text. */
export function decodeSecret(at: string, text: string): Uint8Array {
  const digits = text.trim();
  if (/^[0-9a-f]{64}$/i.test(digits)) return Uint8Array.from(Buffer.from(digits, 'hex'));
  const problem = `a cluster secret is 64 hexadecimal digits, and this is ${describe(digits)}`;
  throw configInvalid([{ at, problem }]);
}

function describe(text: string): string {
  return /^[0-9a-f]*$/i.test(text) ? `${text.length} of them` : 'something else';
}

import type { Patch } from '../faults.ts';

/** A source with a fault planted. Throws if its text does not stand there exactly once. */
export function patched(source: string, { file, find, replace }: Patch): string {
  const parts = source.split(find);
  if (parts.length !== 2) {
    throw new Error(`${file}: the text to be replaced stands there ${parts.length - 1} times:\n${find}`);
  }
  return parts.join(replace);
}

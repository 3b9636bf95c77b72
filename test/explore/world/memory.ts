/** What a peer holds in memory alone: a crash forgets it. */
export interface Memory {
  /** C, without H, as of the own replica's last batch: what the next `inc` is counted from. */
  readonly incBase: readonly number[];
  /** Batches put aside (R4), in the order of their numbers. */
  readonly pending: readonly number[];
}

const memories: Memory[] = [{ incBase: [], pending: [] }];
const numbers = new Map<string, number>([['|', 0]]);

export const emptyMemory = 0;

export function memoryAt(number: number): Memory {
  return memories[number] as Memory;
}

export function memoryOf({ incBase, pending }: Memory): number {
  const text = `${incBase}|${pending}`;
  const known = numbers.get(text);
  if (known !== undefined) return known;
  numbers.set(text, memories.length);
  return memories.push({ incBase, pending }) - 1;
}

import type { Slots } from './clocks.ts';

/** A range that is being fetched; in memory only. */
export type Call =
  /** My clock and my row of the range, of one flushed state. `ct` is for a planted fault: the source's clock by then. */
  | { readonly stage: 'asked'; readonly source: number; readonly cm: Slots; readonly row: number; readonly ct: Slots }
  /** The merged row, the truth at `e`; whether it differs from mine. */
  | {
      readonly stage: 'answered';
      readonly source: number;
      readonly e: Slots;
      readonly row: number;
      readonly differs: boolean;
    };

const calls: (Call | undefined)[] = [undefined];
const numbers = new Map<string, number>();

export const noCall = 0;

export function callOf(call: Call): number {
  const text = Object.values(call).join('|');
  const known = numbers.get(text);
  if (known !== undefined) return known;
  numbers.set(text, calls.length);
  return calls.push(call) - 1;
}

export function callNumbered(number: number): Call | undefined {
  return calls[number];
}

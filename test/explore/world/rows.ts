import { byteString } from '../../../src/model/bytes.ts';
import type { LiveDot, PinRow } from '../../../src/pinset/pinset.ts';

// Every row that came up, once: its number stands for it, and equal numbers are equal rows.
const rows: PinRow[] = [[]];
const numbers = new Map<string, number>([['', 0]]);

export const emptyRowNumber = 0;

export function rowOf(number: number): PinRow {
  return rows[number] as PinRow;
}

export function rowNumber(row: PinRow): number {
  const text = row.map(dotText).join(' ');
  const known = numbers.get(text);
  if (known !== undefined) return known;
  numbers.set(text, rows.length);
  return rows.push(row) - 1;
}

function dotText(dot: LiveDot): string {
  const { replica, sequence, stamp, value, placementStamp, placementReplica, allocations } = dot;
  const placement = `${placementStamp},${placementReplica},${allocations.join('+')}`;
  return `${replica},${sequence},${stamp},${byteString(value)},${placement}`;
}

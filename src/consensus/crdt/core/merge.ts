import type { LiveDot, PinRow } from '../../../pinset/pinset.ts';
import { byDot, isGreaterPlacement, withPlacement } from './rows.ts';
import type { Rids } from './types.ts';

export const emptyRowOf: PinRow = [];

/** How far a clock covers a replica, by its local number; 0: not at all. */
export type Covered = (replica: number) => number;

/**
 * The rows of one key, mine under Cm and theirs under Ct, as the truth at `Cm join Ct` (section 4.6):
 *
 *   merge(M, Cm, T, Ct) = (M and T) + (M not covered by Ct) + (T not covered by Cm)
 *
 * the placement of a dot in both being the greater.
 */
export function merge(mine: PinRow, cm: Covered, theirs: PinRow, ct: Covered, rids: Rids): PinRow {
  if (mine.length === 0) {
    const isNew = (dot: LiveDot) => dot.sequence > cm(dot.replica);
    return theirs.every(isNew) ? theirs : theirs.filter(isNew);
  }
  const merged: LiveDot[] = [];
  for (const dot of mine) {
    const other = theirs.find((their) => their.replica === dot.replica && their.sequence === dot.sequence);
    if (other !== undefined) merged.push(isGreaterPlacement(other, dot, rids) ? withPlacement(dot, other) : dot);
    else if (dot.sequence > ct(dot.replica)) merged.push(dot);
  }
  for (const dot of theirs) {
    const isMine = mine.some((own) => own.replica === dot.replica && own.sequence === dot.sequence);
    if (!isMine && dot.sequence > cm(dot.replica)) merged.push(dot);
  }
  return merged.sort(byDot);
}

import type { PinRow } from '../../../pinset/pinset.ts';
import { type Placement, withAmendment, withoutSeen } from './rows.ts';
import type { Rids } from './types.ts';

/**
 * N4: an operation that this store took in before the dot that it saw. Its author had the branch that goes on, and this store's clock covered
 * the same number of the branch that was given up, so it did not wait (R4). The key tells which of the two it saw.
 */
export interface SeenEarly {
  /** The dot's sequence, of the forked replica. */
  readonly sequence: number;
  /** Pin key, one character a byte. */
  readonly keyText: string;
  /** What an amendment gave it; undefined: it removed it. */
  readonly placement: Placement | undefined;
}

/** The row of a key after a dot of the branch that goes on came into it, as if what saw that dot had waited for it. */
export function afterSeenEarly(
  row: PinRow,
  dot: { replica: number; sequence: number },
  seen: readonly SeenEarly[],
  rids: Rids,
): PinRow {
  const dots = [dot.replica, dot.sequence];
  return seen.reduce<PinRow>(
    (after, { placement }) =>
      placement === undefined ? withoutSeen(after, dots) : withAmendment(after, dots, placement, rids),
    row,
  );
}

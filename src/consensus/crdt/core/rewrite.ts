import type { LiveDot, PinRow } from '../../../pinset/pinset.ts';
import type { LocalOperation } from './operation-writer.ts';
import { byDot, withoutSeen } from './rows.ts';
import { AMEND, PIN, UNPIN } from './types.ts';

/** Who wrote the operations that nobody else will take, and who writes them again (N4). Local numbers. */
export interface Rewriting {
  readonly from: number;
  /** Its operations above this are the ones. */
  readonly common: number;
  readonly to: number;
}

export interface Rewritten {
  /** Undefined: nothing of it is left that would have to be told. */
  readonly operation: LocalOperation | undefined;
  readonly row: PinRow;
}

/**
 * N4: an operation of a branch that was given up, as the new replica writes it again, and the row of its key afterwards.
 *
 *   PIN, its dot live   the same pin, placed as it is placed now; its dot becomes the new one
 *   PIN, dead since     an UNPIN of what it saw: whoever removed it must not see it come back
 *   UNPIN               the same
 *   AMEND               if it is the placement that stands, once more, above itself; else nothing
 *
 * What it saw of the same branch needs no new name: what a pin or an unpin saw is dead, and comes back under none; a dot that lives
 * is written again with its placement. Stamps stay, so that the same pin shows.
 */
export function rewrite(
  operation: LocalOperation,
  sequence: number,
  row: PinRow,
  { from, common, to }: Rewriting,
  newSequence: number,
): Rewritten {
  const sees = withoutBranch(operation.sees, from, common);
  if (operation.kind === AMEND) return amended({ ...operation, sees }, row, from, to);
  const rest = withoutSeen(row, sees);
  const live = rest.find((dot) => dot.replica === from && dot.sequence === sequence);
  if (operation.kind !== PIN || live === undefined) {
    const removal = { ...operation, kind: UNPIN, sees, value: undefined, allocations: [] };
    return { operation: removal, row: rest };
  }
  const renamed: LiveDot = {
    ...live,
    replica: to,
    sequence: newSequence,
    placementStamp: operation.stamp,
    placementReplica: to,
  };
  const others = rest.filter((dot) => dot !== live);
  return {
    operation: { ...operation, sees, allocations: live.allocations },
    row: [...others, renamed].sort(byDot),
  };
}

function amended(operation: LocalOperation, row: PinRow, from: number, to: number): Rewritten {
  const standing = row.filter((dot) => isStanding(dot, operation, from));
  if (standing.length === 0) return { operation: undefined, row };
  // Above all that this store knows of, so that every peer that knows the same shows it.
  const stamp = Math.min(operation.stamp + 1, Number.MAX_SAFE_INTEGER);
  const placed = (dot: LiveDot) => ({ ...dot, placementStamp: stamp, placementReplica: to });
  return {
    operation: { ...operation, sees: standing.flatMap((dot) => [dot.replica, dot.sequence]), stamp },
    row: row.map((dot) => (standing.includes(dot) ? placed(dot) : dot)),
  };
}

/** The dot is one that it saw, and shows the placement that it gave. */
function isStanding(dot: LiveDot, { sees, stamp }: LocalOperation, from: number): boolean {
  if (dot.placementReplica !== from || dot.placementStamp !== stamp) return false;
  for (let i = 0; i < sees.length; i += 2) {
    if (sees[i] === dot.replica && sees[i + 1] === dot.sequence) return true;
  }
  return false;
}

function withoutBranch(sees: readonly number[], from: number, common: number): readonly number[] {
  const kept: number[] = [];
  for (let i = 0; i < sees.length; i += 2) {
    const [replica, sequence] = [sees[i] as number, sees[i + 1] as number];
    if (replica !== from || sequence <= common) kept.push(replica, sequence);
  }
  return kept;
}

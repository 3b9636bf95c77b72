import type { PinRow } from '../../../pinset/pinset.ts';
import type { LocalOperation } from './operation-writer.ts';
import { withAmendment, withoutSeen, withPin } from './rows.ts';
import { AMEND, PIN, type Rids } from './types.ts';

/** An operation with its dot. */
export interface DottedOperation {
  readonly operation: LocalOperation;
  readonly replica: number;
  readonly sequence: number;
}

/**
 * R6 for operations on one key in any order: a row under a clock becomes the row under that clock joined with them. Their pins come
 * first, then placements, which are registers, and what was seen goes last: no dot is removed before it is there.
 */
export function broughtOn(row: PinRow, operations: readonly DottedOperation[], rids: Rids): PinRow {
  let after = row;
  for (const { operation, replica, sequence } of operations) {
    if (operation.kind !== PIN) continue;
    const { stamp, value = new Uint8Array(0), allocations } = operation;
    const placement = { placementStamp: stamp, placementReplica: replica, allocations };
    after = withPin(after, [], { replica, sequence, stamp, value, ...placement });
  }
  for (const { operation, replica } of operations) {
    if (operation.kind !== AMEND) continue;
    const { sees, stamp, allocations } = operation;
    after = withAmendment(after, sees, { placementStamp: stamp, placementReplica: replica, allocations }, rids);
  }
  for (const { operation } of operations) {
    if (operation.kind !== AMEND) after = withoutSeen(after, operation.sees);
  }
  return after;
}

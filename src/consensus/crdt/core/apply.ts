import type { PinKey } from '../../../model/pin.ts';
import type { LiveDot } from '../../../pinset/pinset.ts';
import { type RowEntry, withAmendment, withoutSeen, withPin } from './rows.ts';
import { AMEND, type Operation, PIN, type Rids } from './types.ts';

/** A batch's tables in the local numbers of this store, and where its author's sequence begins. */
export interface LocalTables {
  /** Local number of the author's replica. */
  readonly author: number;
  readonly first: number;
  /** Position in the batch's tables -> local number. */
  readonly replicas: readonly number[];
  readonly peers: readonly number[];
}

/**
 * R6 for a batch, on the rows that a transaction touches. `isTaken`: not those of buckets that a shadow has yet to fill, which
 * will come under a clock that covers the batch (B3).
 */
export function applyOperations(
  operations: readonly Operation[],
  entry: (key: PinKey) => RowEntry,
  tables: LocalTables,
  rids: Rids,
  isTaken: (key: PinKey) => boolean = () => true,
): void {
  for (let position = 0; position < operations.length; position++) {
    const operation = operations[position] as Operation;
    if (isTaken(operation.key)) applyOperation(operation, position, entry(operation.key), tables, rids);
  }
}

/**
 * R6 for one operation: changes `entry.after`. `position` counts the operations of the batch from 0. The same for the live
 * tables and for a shadow (B3).
 */
function applyOperation(
  operation: Operation,
  position: number,
  entry: RowEntry,
  tables: LocalTables,
  rids: Rids,
): void {
  const seen = localDots(operation.sees, tables.replicas);
  if (operation.kind === PIN) {
    entry.after = withPin(entry.after, seen, newDot(operation, position, tables));
  } else if (operation.kind === AMEND) {
    const placement = {
      placementStamp: operation.stamp,
      placementReplica: tables.author,
      allocations: operation.allocations.map((peer) => tables.peers[peer] as number),
    };
    entry.after = withAmendment(entry.after, seen, placement, rids);
  } else {
    entry.after = withoutSeen(entry.after, seen);
  }
}

function newDot(operation: Operation, position: number, tables: LocalTables): LiveDot {
  return {
    replica: tables.author,
    sequence: tables.first + position,
    stamp: operation.stamp,
    value: operation.value,
    placementStamp: operation.stamp,
    placementReplica: tables.author,
    allocations: operation.allocations.map((peer) => tables.peers[peer] as number),
  };
}

function localDots(sees: readonly number[], replicas: readonly number[]): readonly number[] {
  if (sees.length === 0) return sees;
  return sees.map((n, i) => (i % 2 === 0 ? (replicas[n] as number) : n));
}

/**
 * R6: a dot that is seen must be covered by C or be of this batch, before the operation that sees it. The first that is
 * not, or undefined: its author errs.
 */
export function unseenDot(
  operations: readonly Operation[],
  covered: (ridPosition: number) => number,
  own: { ridPosition: number; first: number },
): { ridPosition: number; sequence: number } | undefined {
  for (const [position, { sees }] of operations.entries()) {
    for (let i = 0; i < sees.length; i += 2) {
      const ridPosition = sees[i] as number;
      const sequence = sees[i + 1] as number;
      const limit = ridPosition === own.ridPosition ? own.first + position - 1 : covered(ridPosition);
      if (sequence > limit) return { ridPosition, sequence };
    }
  }
  return undefined;
}

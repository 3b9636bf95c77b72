import { AMEND, type Operation, PIN, UNPIN } from '../../../src/consensus/crdt/core/types.ts';
import type { LiveDot, PinRow } from '../../../src/pinset/pinset.ts';
import { type KnownBatch, knownBatch } from './batches.ts';
import { chain, covers, type Slot, type Slots, sequenceOf } from './clocks.ts';
import { dotName, keyNumber, keysMax } from './names.ts';
import { rowNumber } from './rows.ts';

/** What a clock says by definition (docs/protocol.md section 2), independent of the code under test. */
export interface Truth {
  /** Number of the row of each key. */
  readonly rows: readonly number[];
  /** The pins of automation that a user's unpin had meant to remove (I10). */
  readonly undone: readonly string[];
  /** I3: C covers o => C covers deps(o). */
  readonly isCausal: boolean;
}

interface Covered {
  readonly known: KnownBatch;
  readonly operation: Operation;
  readonly sequence: number;
}

const truths = new Map<string, Truth>();

export function truth(clock: Slots): Truth {
  const text = clock.join();
  const known = truths.get(text);
  if (known !== undefined) return known;
  const covered = clock.flatMap(operationsUnder);
  const rows = Array.from({ length: keysMax }, (_, key) =>
    rowNumber(rowUnder(covered.filter(({ operation }) => keyNumber(operation.key) === key))),
  );
  const isCausal = covered.every(({ known: { deps } }) => covers(clock, deps));
  const made = { rows, undone: undoneUnder(covered), isCausal };
  truths.set(text, made);
  return made;
}

function operationsUnder(slot: Slot): Covered[] {
  const limit = sequenceOf(slot);
  return [...chain(slot)].flatMap((id) => {
    const known = knownBatch(id);
    return known.content.operations
      .map((operation, i) => ({ known, operation, sequence: known.first + i }))
      .filter(({ sequence }) => sequence <= limit);
  });
}

function seenBy({ known, operation: { sees } }: Covered): string[] {
  const dots: string[] = [];
  for (let i = 0; i < sees.length; i += 2) {
    dots.push(dotName(known.tables.replicas[sees[i] as number] as number, sees[i + 1] as number));
  }
  return dots;
}

/** live(k, c): pins that no pin or unpin sees. */
function rowUnder(covered: readonly Covered[]): PinRow {
  const gone = new Set(covered.filter(({ operation }) => operation.kind !== AMEND).flatMap(seenBy));
  const amendments = covered.filter(({ operation }) => operation.kind === AMEND);
  return covered
    .filter(({ operation }) => operation.kind === PIN)
    .filter(({ known, sequence }) => !gone.has(dotName(known.replica, sequence)))
    .map((pin) => dotUnder(pin, amendments))
    .sort((a, b) => a.replica - b.replica || a.sequence - b.sequence);
}

/** placement(k, d): the greatest, by (stamp, rid), of d's own and of the amendments that see d. */
function dotUnder(pin: Covered, amendments: readonly Covered[]): LiveDot {
  const dot = dotName(pin.known.replica, pin.sequence);
  const writers = [pin, ...amendments.filter((amendment) => seenBy(amendment).includes(dot))];
  const greatest = writers.reduce((a, b) => (isGreater(b, a) ? b : a));
  return {
    replica: pin.known.replica,
    sequence: pin.sequence,
    stamp: pin.operation.stamp,
    value: pin.operation.value,
    placementStamp: greatest.operation.stamp,
    placementReplica: greatest.known.replica,
    allocations: greatest.operation.allocations.map((peer) => greatest.known.tables.peers[peer] as number),
  };
}

/** Rids order as their numbers do in this world. */
function isGreater(a: Covered, b: Covered): boolean {
  const byStamp = a.operation.stamp - b.operation.stamp;
  return (byStamp || a.known.replica - b.known.replica) > 0;
}

function undoneUnder(covered: readonly Covered[]): string[] {
  const unpinned = new Set(covered.filter(({ operation }) => operation.kind === UNPIN).flatMap(seenBy));
  return covered
    .filter(({ known }) => known.isAutomatic)
    .filter((automatic) => seenBy(automatic).some((dot) => unpinned.has(dot)))
    .map(({ known, sequence }) => dotName(known.replica, sequence));
}

import t from 'tap';
import { broughtOn, type DottedOperation } from '../../../src/consensus/crdt/core/bring-on.ts';
import { withAmendment, withoutSeen, withPin } from '../../../src/consensus/crdt/core/rows.ts';
import { AMEND, PIN, UNPIN } from '../../../src/consensus/crdt/core/types.ts';
import type { PinRow } from '../../../src/pinset/pinset.ts';
import { fc } from '../../support/fast-check.ts';

const rids = { name: (replica: number) => new Uint8Array(16).fill(replica) };
const key = Buffer.from('key');

const act = fc.record({
  kind: fc.constantFrom(PIN, UNPIN, AMEND),
  replica: fc.nat({ max: 2 }),
  /** Which of the dots that live its author has heard of. */
  sees: fc.nat({ max: 255 }),
  stamp: fc.nat({ max: 5 }),
});

/** One after the other, as in a batch. */
function applied(row: PinRow, { operation, replica, sequence }: DottedOperation): PinRow {
  const { kind, sees, stamp, allocations } = operation;
  const placement = { placementStamp: stamp, placementReplica: replica, allocations };
  if (kind === UNPIN) return withoutSeen(row, sees);
  if (kind === AMEND) return withAmendment(row, sees, placement, rids);
  return withPin(row, sees, { replica, sequence, stamp, value: Buffer.of(sequence), ...placement });
}

t.test('operations brought on in any order give the row that they give in causal order', async (t) => {
  fc.assert(
    fc.property(
      fc.array(act, { maxLength: 12 }),
      fc.nat({ max: 12 }),
      fc.infiniteStream(fc.nat()),
      (acts, known, numbers) => {
        const rows: PinRow[] = [[]];
        const operations: DottedOperation[] = [];
        for (const [i, { kind, replica, sees: mask, stamp }] of acts.entries()) {
          const row = rows.at(-1) as PinRow;
          const sees = row.flatMap((dot, at) => ((mask >> at) & 1 ? [dot.replica, dot.sequence] : []));
          const value = kind === PIN ? Buffer.of(i + 1) : undefined;
          const operation = { kind, key, sees, stamp, value, allocations: [i], idempotency: undefined };
          operations.push({ operation, replica, sequence: i + 1 });
          rows.push(applied(row, operations.at(-1) as DottedOperation));
        }
        const begun = Math.min(known, acts.length);
        const rest = operations
          .slice(begun)
          .map((operation) => ({ operation, at: numbers.next().value }))
          .sort((a, b) => a.at - b.at)
          .map(({ operation }) => operation);
        t.strictSame(broughtOn(rows[begun] as PinRow, rest, rids), rows.at(-1));
        // What is there already changes nothing.
        t.strictSame(broughtOn(rows.at(-1) as PinRow, rest, rids), rows.at(-1));
      },
    ),
  );
});

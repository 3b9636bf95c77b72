import { judge } from '../../../src/consensus/crdt/core/judge.ts';
import { TransactionRows } from '../../../src/consensus/crdt/core/rows.ts';
import type { Replica } from '../../../src/consensus/crdt/state/replicas.ts';
import { StagedClock } from '../../../src/consensus/crdt/state/staged-clock.ts';
import { knownBatch } from '../world/batches.ts';
import { SlotClock, sequenceOf } from '../world/clocks.ts';
import { replicas } from '../world/names.ts';
import type { Store } from '../world/store.ts';
import { applyInto, changedRows } from './taking.ts';

/** S4: two batches in one transaction come to the same as one after the other, which ended in `after`. */
export function groupProblem(store: Store, first: number, second: number, after: Store): string | undefined {
  return (
    store.once((first * 2 ** 20 + second) * 8 + 7, () => together(store, [first, second], after) ?? null) ?? undefined
  );
}

function together(store: Store, batches: readonly number[], after: Store): string | undefined {
  const clock = new StagedClock(new SlotClock(store.value.clock));
  const transaction = new TransactionRows();
  for (const id of batches) {
    const { batch, replica, last } = knownBatch(id);
    const verdict = judge(clock, batch);
    if (verdict !== 'apply') return `S4: in a transaction with the one before it a batch is judged ${verdict}`;
    applyInto(transaction, store.value.rows, knownBatch(id), () => true);
    clock.stage({ replica: replicas[replica] as unknown as Replica, sequence: last, hash: batch.hash });
  }
  const rows = changedRows(store.value.rows, transaction);
  const sequences = replicas.map(({ ridText }) => clock.taken(ridText)?.sequence ?? 0);
  const isSame =
    rows.join() === after.value.rows.join() && sequences.join() === after.value.clock.map(sequenceOf).join();
  return isSame ? undefined : 'S4: two batches in one transaction come to something else than one by one';
}

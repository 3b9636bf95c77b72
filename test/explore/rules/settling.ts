import { Pending } from '../../../src/consensus/crdt/core/pending.ts';
import { knownBatch } from '../world/batches.ts';
import { SlotClock } from '../world/clocks.ts';
import { memoryAt, memoryOf } from '../world/memory.ts';
import type { Store } from '../world/store.ts';
import { take } from './taking.ts';

export interface Settled {
  readonly store: Store;
  readonly memory: number;
  readonly problem: string | undefined;
}

const limits = {
  pendingBytesMax: 1_000_000,
  pendingAuthorBytesMax: 1_000_000,
  pendingBatchesMax: 100,
  pendingTimeoutMs: 1,
};

/** R4: takes what was put aside and whose time has come, until there is no more of it. */
export function settled(store: Store, memory: number): Settled {
  if (memoryAt(memory).pending.length === 0) return { store, memory, problem: undefined };
  return store.once(memory * 8 + 6, () => settledAnew(store, memory));
}

function settledAnew(before: Store, memory: number): Settled {
  let store = before;
  let waiting = memoryAt(memory).pending;
  for (;;) {
    const ready = readyOf(store, waiting);
    if (ready.length === 0) break;
    waiting = waiting.filter((id) => !ready.includes(id));
    for (const id of ready) {
      const result = take(store, id);
      if (typeof result === 'object') store = result;
    }
  }
  const isLate = waiting.some((id) => take(store, id) !== 'pend');
  const problem = isLate ? 'R4: a batch is still put aside when its time has come' : undefined;
  return { store, memory: memoryOf({ ...memoryAt(memory), pending: waiting }), problem };
}

function readyOf(store: Store, waiting: readonly number[]): number[] {
  const pending = new Pending(limits);
  for (const id of waiting) pending.add(knownBatch(id).batch, '', 0);
  const ready = pending.takeReady(new SlotClock(store.value.clock));
  return ready.map(({ batch }) => waiting.find((id) => knownBatch(id).batch === batch) as number);
}

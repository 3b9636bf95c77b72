import { cut } from '../../../src/consensus/crdt/core/log-cut.ts';
import { needsLogAbove } from '../../../src/consensus/crdt/core/rebuild.ts';
import { isPlanted } from '../planted.ts';
import { knownBatch } from '../world/batches.ts';
import { clockNumber, clockOfSlots, type Slots } from '../world/clocks.ts';
import { replicas } from '../world/names.ts';
import { type Store, storeOf } from '../world/store.ts';
import { clockOfSequences, clocksOf } from './rebuilding.ts';

function above(log: readonly number[], floor: readonly number[]): number[] {
  return log.filter((id) => knownBatch(id).last > (floor[knownBatch(id).replica] as number));
}

/** What is to go: of all authors, or of one. */
export const all = 4;

/**
 * L1 to L3: the floors rise as far as they may. `overdue`: it cannot wait for a shadow. The clock is that of the flushed state.
 */
export function cutStore(
  store: Store,
  flushed: Store,
  asked: Slots | undefined,
  what: number,
  isOverdue: boolean,
): Store {
  const number = asked === undefined ? 0 : clockNumber(asked) + 1;
  const code = (((number * 2 ** 24 + flushed.id) * 8 + what) * 2 + Number(isOverdue)) * 8 + 4;
  return store.once(code, () => {
    const { floor, shadow } = store.value;
    const due = clockOfSequences(store.sequences.map((sequence, r) => (what === all || what === r ? sequence : 0)));
    const { floors, discardsShadow } = cut({
      floors: clockOfSequences(floor),
      clock: clockOfSlots(flushed.value.clock),
      shadow: needsLogAbove(shadow && clocksOf(shadow)?.taken, asked && clockOfSlots(asked)),
      acknowledged: [],
      old: new Map(),
      due,
      overdue: isOverdue ? due : new Map(),
    });
    const after = replicas.map(({ ridText }) => floors.get(ridText) ?? 0);
    const log = isPlanted('tail-cut') ? [] : above(store.value.log, after);
    const kept = discardsShadow ? undefined : shadow;
    return storeOf({ ...store.value, log, floor: isPlanted('log-hole') ? floor : after, shadow: kept });
  });
}

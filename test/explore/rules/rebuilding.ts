import type { RangeRow } from '../../../src/consensus/crdt/codec/range-rows.ts';
import { answered, maySwap, type ShadowClocks, swapped } from '../../../src/consensus/crdt/core/rebuild.ts';
import { MergedRows, type MergeInput } from '../../../src/consensus/crdt/rebuild/merged-rows.ts';
import type { PinKey } from '../../../src/model/pin.ts';
import { bucketOf } from '../../../src/model/pin-key.ts';
import { isPlanted } from '../planted.ts';
import type { Call } from '../world/calls.ts';
import { clockNumber, clockOfSlots, type Slots, sequenceOf, slotsOfClock } from '../world/clocks.ts';
import { keys, keysMax, names, rangeEnds, replicas } from '../world/names.ts';
import { emptyRowNumber, rowNumber, rowOf } from '../world/rows.ts';
import { type Shadow, type Store, storeOf } from '../world/store.ts';
import { fullNeeded, nothingLeft, offered } from './syncing.ts';
import { takeIntoShadow } from './taking.ts';

const nothing: Slots = [0, 0, 0, 0];
/** Keys are not named at all: what the feed says is not looked at. */
export const unnamed = -1;
export const everyKey = 3;

export function begun(store: Store, named: number): Store {
  const shadow = { next: 0, base: nothing, taken: nothing, goal: nothing, rows: [0, 0], named };
  return storeOf({ ...store.value, shadow });
}

export function discarded(store: Store): Store {
  return storeOf({ ...store.value, shadow: undefined });
}

/** Undefined: no range has come yet. */
export function clocksOf({ next, base, taken, goal }: Shadow): ShadowClocks | undefined {
  if (next === 0) return undefined;
  return { base: clockOfSlots(base), taken: clockOfSlots(taken), goal: clockOfSlots(goal) };
}

/** B2: whether a first answer under `ct` would bring nothing. */
export function isUseless(cm: Slots, ct: Slots): boolean {
  const pair = clockNumber(cm) * 2 ** 26 + clockNumber(ct);
  let known = useless.get(pair);
  if (known === undefined) {
    known = answered(undefined, clockOfSlots(cm), clockOfSlots(ct)) === 'useless';
    useless.set(pair, known);
  }
  return known;
}

const useless = new Map<number, boolean>();

export interface Merged {
  readonly row: number;
  /** It is not mine: the feed row of the swap names it. */
  readonly differs: boolean;
}

/** B2 for the range of one key: its rows are mine under cm and theirs under ct. Equal ones are not sent. */
export function mergedRange(key: number, mine: number, cm: Slots, theirs: number, ct: Slots): Merged {
  const text = keys[key] as PinKey;
  const covered = (clock: Slots) => (replica: number) => sequenceOf(clock[replica] as number);
  const merged = new MergedRows({
    mine: ownRows(rowsOf(text, mine)),
    cm: covered(cm),
    ct: covered(ct),
    rids: names.replicas,
    check: undamaged,
    from: rangeEnds[key - 1] ?? 0,
    to: rangeEnds[key] as number,
  });
  const isEqual = mine === theirs;
  const answer = isEqual ? merged.add([], [bucketOf(text)]) : merged.add(rowsOf(text, theirs), []);
  const pieces = [...answer, ...merged.end(rangeEnds[key] as number)];
  const [row] = pieces.flatMap(({ rows }) => rows);
  return { row: rowNumber(row?.row ?? []), differs: pieces.some(({ changed }) => changed.length > 0) };
}

/** No disk of these worlds changes anything by itself. */
const undamaged: MergeInput['check'] = { row: () => '', equal() {}, upTo() {} };

function rowsOf(key: PinKey, row: number): RangeRow[] {
  return row === emptyRowNumber ? [] : [{ key, row: rowOf(row) }];
}

function ownRows(rows: RangeRow[]): MergeInput['mine'] {
  return {
    get next() {
      return rows[0];
    },
    take: () => void rows.shift(),
  };
}

/** B2: the merged range is appended, if its clock allows. */
export function filled(store: Store, { e, row, differs }: Call & { stage: 'answered' }): Store {
  const shadow = store.value.shadow as Shadow;
  // What the answer makes of the clocks depends on the join of the two alone, once a first one was not useless.
  const clocks = answered(clocksOf(shadow), new Map(), clockOfSlots(e));
  if (typeof clocks === 'string') return store;
  const after = {
    next: shadow.next + 1,
    base: slotsOfClock(clocks.base, e, shadow.base),
    taken: slotsOfClock(clocks.taken, shadow.taken, e),
    goal: slotsOfClock(clocks.goal, shadow.goal, e),
    rows: shadow.rows.with(shadow.next, row),
    named: differs ? shadow.named | (1 << shadow.next) : shadow.named,
  };
  return storeOf({ ...store.value, shadow: after });
}

export interface Swapped {
  readonly store: Store;
  readonly problem: string | undefined;
}

/** B5. Undefined: not yet. */
export function swappedStore(store: Store): Swapped | undefined {
  return store.once(3, () => swappedAnew(store) ?? null) ?? undefined;
}

function swappedAnew(store: Store): Swapped | undefined {
  const before = clocksOf(store.value.shadow as Shadow);
  if (before === undefined || (store.value.shadow as Shadow).next < keysMax) return undefined;
  const clock = clockOfSlots(store.value.clock);
  if (!maySwap(before, clock)) return undefined;
  const ready = isPlanted('own-log-forgotten', 'swap-before-live') ? store : withOwnLog(store);
  if (ready === undefined) return undefined;
  const shadow = ready.value.shadow as Shadow;
  const floors = clockOfSequences(store.value.floor);
  const after = swapped(clocksOf(shadow) as ShadowClocks, clock, floors);
  return {
    store: storeOf({
      ...ready.value,
      clock: slotsOfClock(after.clock, shadow.taken, store.value.clock),
      floor: replicas.map(({ ridText }) => after.floors.get(ridText) ?? 0),
      rows: shadow.rows,
      shadow: undefined,
    }),
    problem: feedProblem(ready),
  };
}

/** The swap's transaction takes what C has and C' had not, from the own log; undefined: it does not reach back so far. */
function withOwnLog(before: Store): Store | undefined {
  for (let store = before; ; ) {
    const id = offered(store, (store.value.shadow as Shadow).taken);
    if (id === nothingLeft) return store;
    const taken = id === fullNeeded ? undefined : takeIntoShadow(store, id);
    if (typeof taken !== 'object') return undefined;
    store = taken;
  }
}

export function clockOfSequences(sequences: readonly number[]): Map<string, number> {
  return new Map(replicas.map(({ ridText, number }) => [ridText, sequences[number] as number]));
}

/** I12. */
function feedProblem({ value: { rows, shadow } }: Store): string | undefined {
  const { rows: after, named } = shadow as Shadow;
  const isMissing = rows.some((row, key) => row !== after[key] && ((named >> key) & 1) === 0);
  return isMissing ? 'I12: a swap changed a key that the feed does not name' : undefined;
}

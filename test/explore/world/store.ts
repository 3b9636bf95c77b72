import { knownBatch } from './batches.ts';
import { chain, isHalf, type Slots, sequenceOf } from './clocks.ts';
import { dotName } from './names.ts';
import { rowOf } from './rows.ts';
import { truth } from './truth.ts';

/** A shadow (4.6). Its clocks are those of the first answer on; before that it has none. */
export interface Shadow {
  /** Ranges filled so far. */
  readonly next: number;
  readonly base: Slots;
  /** C' with H'. */
  readonly taken: Slots;
  readonly goal: Slots;
  readonly rows: readonly number[];
  /** Keys that the feed row of the swap will name, a bit each. */
  readonly named: number;
}

/** All that one peer has on its disk, or shows to its readers. Rows and batches by their numbers. */
export interface StoreValue {
  /** C with H. */
  readonly clock: Slots;
  /** F, a sequence for each replica. */
  readonly floor: readonly number[];
  readonly rows: readonly number[];
  /** In the order of their numbers; what lies below F is left out, since nobody reads it. */
  readonly log: readonly number[];
  readonly lastStamp: number;
  readonly shadow: Shadow | undefined;
}

/** A store that some history led to. The same content is the same store, so that a step from it is computed once. */
export class Store {
  readonly id: number;
  readonly value: StoreValue;
  /** C without H. */
  readonly sequences: readonly number[];
  /** The first invariant of a single store that does not hold; undefined: all do. */
  readonly problem: string | undefined;
  /** Results of steps from here, by what the step is of. */
  readonly steps = new Map<number, unknown>();

  constructor(id: number, value: StoreValue) {
    this.id = id;
    this.value = value;
    this.sequences = value.clock.map(sequenceOf);
    this.problem = problemOf(value);
  }

  /** A pure function of this store and of what `code` stands for, computed once. */
  once<Result>(code: number, compute: () => Result): Result {
    const known = this.steps.get(code);
    if (known !== undefined) return known as Result;
    const result = compute();
    this.steps.set(code, result);
    return result;
  }
}

const stores: Store[] = [];
const numbers = new Map<string, Store>();

export function storeAt(id: number): Store {
  return stores[id] as Store;
}

export function storeOf(value: StoreValue): Store {
  const trimmed = { ...value, log: value.log.filter((id) => !isBelow(id, value.floor)).sort((a, b) => a - b) };
  const text = textOf(trimmed);
  const known = numbers.get(text);
  if (known !== undefined) return known;
  const store = new Store(stores.length, trimmed);
  stores.push(store);
  numbers.set(text, store);
  return store;
}

export function storesCount(): number {
  return stores.length;
}

function isBelow(id: number, floor: readonly number[]): boolean {
  const { last, replica } = knownBatch(id);
  return last <= (floor[replica] as number);
}

function textOf({ clock, floor, rows, log, lastStamp, shadow }: StoreValue): string {
  const live = [clock, floor, rows, log, lastStamp].join('|');
  if (shadow === undefined) return live;
  const { next, base, taken, goal, named } = shadow;
  return [live, next, base, taken, goal, shadow.rows, named].join('|');
}

/** I1, I2, I3, I7, I9, I10 and L3. */
function problemOf(store: StoreValue): string | undefined {
  return rowsProblem(store) ?? clockProblem(store) ?? logProblem(store) ?? shadowProblem(store);
}

function rowsProblem({ clock, rows }: StoreValue): string | undefined {
  const { rows: right, undone } = truth(clock);
  for (const [key, number] of rows.entries()) {
    const dots = rowOf(number).map(({ replica, sequence }) => ({
      replica,
      sequence,
      text: dotName(replica, sequence),
    }));
    const expected = new Set(rowOf(right[key] as number).map((dot) => dotName(dot.replica, dot.sequence)));
    for (const { replica, sequence, text } of dots) {
      if (sequence > sequenceOf(clock[replica] ?? 0)) return `I1: dot ${text} of key ${key} is live and not covered`;
      if (!expected.delete(text)) return `I2: dot ${text} of key ${key} is live, and a covered operation removed it`;
      if (undone.includes(text)) return `I10: dot ${text} of key ${key} outlived the unpin of what it was based on`;
    }
    for (const text of expected) return `I2: dot ${text} of key ${key} is missing`;
    if (number !== right[key]) return `I2: a value or placement of key ${key} is not that of the covered operations`;
  }
  return undefined;
}

function clockProblem({ clock }: StoreValue): string | undefined {
  if (clock.some(isHalf)) return 'I9: the clock ends inside a batch';
  return truth(clock).isCausal ? undefined : 'I3: the clock covers an operation and not what it depends on';
}

function logProblem({ clock, floor, log }: StoreValue): string | undefined {
  for (const [replica, slot] of clock.entries()) {
    for (const id of chain(slot)) {
      if (knownBatch(id).last <= (floor[replica] as number)) break;
      if (!log.includes(id)) return `I7: the log lacks ${dotName(replica, knownBatch(id).last)}`;
    }
  }
  return undefined;
}

/** L3: what a shadow has yet to take of the own log is in it. */
function shadowProblem({ floor, shadow }: StoreValue): string | undefined {
  if (shadow === undefined || shadow.next === 0) return undefined;
  const isCut = shadow.taken.some((slot, replica) => sequenceOf(slot) < (floor[replica] as number));
  return isCut ? "L3: the log was cut above C' of a shadow" : undefined;
}

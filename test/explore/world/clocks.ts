import type { Taken, TakenClock } from '../../../src/consensus/crdt/core/judge.ts';
import type { IncEntry } from '../../../src/consensus/crdt/core/types.ts';
import { knownBatch } from './batches.ts';
import { replicaNumber, replicas } from './names.ts';

/**
 * How far a clock covers one replica: the batch taken in last, and how many of its operations were not, which only a
 * planted fault leaves out. 0: nothing of it. So a clock says of itself what history it stands for.
 */
export type Slot = number;
export type Slots = readonly Slot[];

export function slotAfter(batch: number, missing = 0): Slot {
  return batch * 8 + missing;
}

export function batchOf(slot: Slot): number {
  return slot >>> 3;
}

export function sequenceOf(slot: Slot): number {
  return slot === 0 ? 0 : knownBatch(slot >>> 3).last - (slot & 7);
}

export function isHalf(slot: Slot): boolean {
  return (slot & 7) > 0;
}

export function hashOf(slot: Slot): Uint8Array {
  return slot === 0 ? none : knownBatch(slot >>> 3).batch.hash;
}

/** The batches of one replica that a clock covers, the last first. */
export function* chain(slot: Slot): Generator<number> {
  for (let id = batchOf(slot); id !== 0; id = knownBatch(id).previous) yield id;
}

export function covers(a: Slots, b: Slots): boolean {
  return a.every((slot, replica) => sequenceOf(slot) >= sequenceOf(b[replica] as Slot));
}

export function join(a: Slots, b: Slots): Slot[] {
  return a.map((slot, replica) => {
    const other = b[replica] as Slot;
    return sequenceOf(other) > sequenceOf(slot) ? other : slot;
  });
}

const numbers = new Map<string, number>();
/** The same for a clock that was asked about before, without looking into it. */
const known = new WeakMap<Slots, number>();

/** Equal clocks have the same number. */
export function clockNumber(clock: Slots): number {
  const same = known.get(clock);
  if (same !== undefined) return same;
  const text = clock.join();
  const number = numbers.get(text) ?? numbers.size;
  numbers.set(text, number);
  known.set(clock, number);
  return number;
}

const none = new Uint8Array(0);
const byRid = new Map(replicas.map(({ ridText, number }) => [ridText, number]));

/** Slots as the rules ask for a clock. */
export class SlotClock implements TakenClock {
  readonly #slots: Slots;

  constructor(slots: Slots) {
    this.#slots = slots;
  }

  taken(ridText: string): Taken | undefined {
    const slot = this.#slots[byRid.get(ridText) as number] as Slot;
    return slot === 0 ? undefined : { sequence: sequenceOf(slot), hash: hashOf(slot), frozen: '' };
  }

  covers({ rid, sequence }: IncEntry): boolean {
    return sequence <= sequenceOf(this.#slots[replicaNumber(rid)] as Slot);
  }
}

/** Slots as the rules of rebuilding and cutting take a clock. */
export function clockOfSlots(slots: Slots): Map<string, number> {
  const clock = new Map<string, number>();
  for (const [number, slot] of slots.entries()) if (slot !== 0) clock.set(ridTextOf(number), sequenceOf(slot));
  return clock;
}

/** The slots of a clock that one of the rules made of others. */
export function slotsOfClock(clock: ReadonlyMap<string, number>, ...of: readonly Slots[]): Slot[] {
  return replicas.map(({ ridText, number }) => {
    const sequence = clock.get(ridText) ?? 0;
    if (sequence === 0) return 0;
    const slot = of.map((slots) => slots[number] as Slot).find((known) => sequenceOf(known) === sequence);
    if (slot === undefined) throw new Error('a clock that covers what none of those did that it was made of');
    return slot;
  });
}

function ridTextOf(number: number): string {
  return (replicas[number] as (typeof replicas)[number]).ridText;
}

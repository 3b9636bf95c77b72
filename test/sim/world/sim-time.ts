import type { Timer, Timers } from '../../../src/runtime/clock.ts';

interface Due {
  readonly atMs: number;
  readonly order: number;
  readonly owner: TimerOwner;
  fn: (() => void) | undefined;
}

/** Whose timers they are: a process, or the world. A dead owner's timers never fire. */
export class TimerOwner {
  readonly name: string;
  isAlive = true;
  /** Set and not yet fired or cancelled. */
  pending = 0;

  constructor(name: string) {
    this.name = name;
  }
}

/** More events in one instant than this: something goes round without letting time pass. */
const eventsPerInstantMax = 200_000;

/** The virtual clock: a heap of what is due, fired in order. */
export class SimTime {
  nowMs = 0;
  readonly #heap: Due[] = [];
  #order = 0;
  #inThisInstant = 0;

  timersOf(owner: TimerOwner): Timers {
    return { after: (delayMs, fn) => this.after(owner, delayMs, fn) };
  }

  after(owner: TimerOwner, delayMs: number, fn: () => void): Timer {
    if (!owner.isAlive) return { cancel() {} };
    if (Number.isNaN(delayMs)) throw new RangeError(`${owner.name} waits for NaN ms`);
    const due: Due = { atMs: this.nowMs + Math.max(0, delayMs), order: this.#order++, owner, fn };
    owner.pending++;
    this.#push(due);
    return {
      cancel: () => {
        if (due.fn === undefined) return;
        due.fn = undefined;
        owner.pending--;
      },
    };
  }

  /** What an owner's timers would do: the beginning of their code, for a report. */
  pendingOf(owner: TimerOwner): string[] {
    const due = this.#heap.filter((one) => one.owner === owner && one.fn !== undefined);
    return due.map(
      ({ fn, atMs }) => `${Math.round(atMs - this.nowMs)} ms: ${String(fn).replaceAll(/\s+/g, ' ').slice(0, 80)}`,
    );
  }

  /** Fires the next event; undefined when nothing is due up to then. Whoever calls lets promises run before the next. */
  fireNext(untilMs: number): TimerOwner | undefined {
    for (let due = this.#heap[0]; due !== undefined && due.atMs <= untilMs; due = this.#heap[0]) {
      this.#pop();
      if (due.fn === undefined || !due.owner.isAlive) continue;
      this.#advance(due.atMs);
      const { fn } = due;
      due.fn = undefined;
      due.owner.pending--;
      fn();
      return due.owner;
    }
    return undefined;
  }

  #advance(toMs: number): void {
    this.#inThisInstant = toMs > this.nowMs ? 0 : this.#inThisInstant + 1;
    if (this.#inThisInstant > eventsPerInstantMax)
      throw new Error('the world lives in one instant: time does not pass');
    this.nowMs = toMs;
  }

  #push(due: Due): void {
    const heap = this.#heap;
    let at = heap.push(due) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(due, heap[parent] as Due)) break;
      heap[at] = heap[parent] as Due;
      at = parent;
    }
    heap[at] = due;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Due;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Due, heap[child] as Due)) child++;
      if (!isBefore(heap[child] as Due, last)) break;
      heap[at] = heap[child] as Due;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Due, b: Due): boolean {
  return a.atMs === b.atMs ? a.order < b.order : a.atMs < b.atMs;
}

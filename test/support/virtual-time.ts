import { setImmediate } from 'node:timers/promises';
import type { Clock, Timers } from '../../src/runtime/clock.ts';

export interface VirtualTime {
  /** The wall clock is the monotonic one plus an offset that tests move. */
  clock: Clock;
  timers: Timers;
  /** Fires what is due, in order, and lets promises run after each. */
  advance(ms: number): Promise<void>;
  /** Time passes and nothing runs meanwhile: a process that was paused. */
  pause(ms: number): void;
  /** The wall clock jumps. */
  jump(ms: number): void;
  pending(): number;
}

export function virtualTime(startMs = 1_800_000_000_000): VirtualTime {
  let monotonicMs = 1_000;
  let offsetMs = startMs - monotonicMs;
  let order = 0;
  const due = new Map<number, { atMs: number; fn: () => void }>();

  async function advance(ms: number): Promise<void> {
    const end = monotonicMs + ms;
    await settle();
    for (let next = first(); next !== undefined && next.atMs <= end; next = first()) {
      due.delete(next.id);
      monotonicMs = Math.max(monotonicMs, next.atMs);
      next.fn();
      await settle();
    }
    monotonicMs = Math.max(monotonicMs, end);
  }

  function first() {
    let best: { id: number; atMs: number; fn: () => void } | undefined;
    for (const [id, timer] of due) if (best === undefined || timer.atMs < best.atMs) best = { id, ...timer };
    return best;
  }

  return {
    clock: { nowMs: () => monotonicMs + offsetMs, monotonicMs: () => monotonicMs },
    timers: {
      after(delayMs, fn) {
        const id = order++;
        due.set(id, { atMs: monotonicMs + Math.max(0, delayMs), fn });
        return { cancel: () => due.delete(id) };
      },
    },
    advance,
    pause(ms) {
      monotonicMs += ms;
    },
    jump(ms) {
      offsetMs += ms;
    },
    pending: () => due.size,
  };
}

/** Lets promises run until nothing more happens by itself. */
async function settle(): Promise<void> {
  await setImmediate();
}

/** A small seeded generator (mulberry32) behind the port. */
export function seededRandom(seed: number) {
  let state = seed >>> 0;
  const float = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  return { float, bytes: (length: number) => Uint8Array.from({ length }, () => Math.floor(float() * 256)) };
}

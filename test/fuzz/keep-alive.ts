import type { Timers } from '../../src/runtime/clock.ts';

/** Unlike the system's these keep the process alive: what hangs must not end as if it were done. */
export const keepAlive: Timers = {
  after(delayMs, fn) {
    const handle = setTimeout(fn, delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
};

import type { Clock, Timer, Timers } from '../runtime/clock.ts';

export interface StallWatch {
  /** Something moved. */
  progress(): void;
  stop(): void;
}

/**
 * Calls `onQuiet` after half of `stallTimeoutMs` without progress, once each time, and `onStalled` after all of it, once. Progress
 * itself only reads the clock: a walk makes it many times a millisecond.
 */
export function stallWatch(
  needs: { clock: Clock; timers: Timers },
  init: { stallTimeoutMs: number; onQuiet: () => void; onStalled: () => void },
): StallWatch {
  let lastMs = needs.clock.monotonicMs();
  let wasQuiet = false;
  let timer: Timer;
  const look = () => {
    const quietMs = needs.clock.monotonicMs() - lastMs;
    if (quietMs >= init.stallTimeoutMs) return init.onStalled();
    const isQuiet = quietMs >= init.stallTimeoutMs / 2;
    if (isQuiet && !wasQuiet) init.onQuiet();
    wasQuiet = isQuiet;
    arm((isQuiet ? init.stallTimeoutMs : init.stallTimeoutMs / 2) - quietMs);
  };
  const arm = (delayMs: number) => {
    // Rounded up: a timer may fire a little early by the clock, and would then be armed again and again.
    timer = needs.timers.after(Math.ceil(delayMs) + 1, look);
  };
  arm(init.stallTimeoutMs / 2);
  return {
    progress: () => {
      lastMs = needs.clock.monotonicMs();
    },
    stop: () => timer.cancel(),
  };
}

/** Time. `Date.now`, `performance.now` and the global timers are used nowhere else in `src`. */
export interface Clock {
  /** Wall clock, milliseconds since 1970. May jump. Use it for what people see and for stamps. */
  nowMs(): number;
  /** Milliseconds since some fixed instant, never going back. Use it for durations and deadlines. */
  monotonicMs(): number;
}

export interface Timers {
  /**
   * Calls `fn` once, after `delayMs`; 0: in the next turn of the event loop, when others had theirs. A timer does not keep the process
   * alive.
   */
  after(delayMs: number, fn: () => void): Timer;
}

export interface Timer {
  /** Calling it twice, or after the timer has fired, does nothing. */
  cancel(): void;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};

export const systemTimers: Timers = {
  after(delayMs, fn) {
    if (delayMs <= 0) {
      // A timer would wait for a millisecond, and an immediate without its reference until something else happens in the process.
      const turn = setImmediate(fn);
      return { cancel: () => clearImmediate(turn) };
    }
    const handle = setTimeout(fn, delayMs);
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};

/** Resolves after `delayMs`; rejects with the signal's reason when it aborts first. */
export function sleep(timers: Timers, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const timer = timers.after(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    const onAbort = () => {
      timer.cancel();
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** `intervalMs` plus or minus `fraction` of it, so that peers started together do not act together. */
export function jittered(random: { float(): number }, intervalMs: number, fraction: number): number {
  return intervalMs * (1 - fraction + 2 * fraction * random.float());
}

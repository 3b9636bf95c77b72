import { PinfoldError } from '../model/errors.ts';
import type { Timers } from './clock.ts';

/** A signal made from others. `dispose` when what it guards has ended: a long-lived source must not keep listeners. */
export interface ScopedSignal extends Disposable {
  readonly signal: AbortSignal;
  /** Aborts from here; does nothing when it already is. */
  abort(reason: unknown): void;
}

/**
 * Aborts with the reason of the first source that does. Unlike `AbortSignal.any` it lets go of its sources when it is
 * disposed: `using scope = mergeSignals(...)`.
 */
export function mergeSignals(...sources: readonly (AbortSignal | undefined)[]): ScopedSignal {
  const controller = new AbortController();
  const listening: AbortSignal[] = [];
  const dispose = () => {
    for (const source of listening.splice(0)) source.removeEventListener('abort', onAbort);
  };
  const abort = (reason: unknown) => {
    dispose();
    controller.abort(reason);
  };
  function onAbort(this: AbortSignal) {
    abort(this.reason);
  }
  for (const source of sources) {
    if (source === undefined) continue;
    if (source.aborted) {
      abort(source.reason);
      break;
    }
    source.addEventListener('abort', onAbort);
    listening.push(source);
  }
  return { signal: controller.signal, abort, [Symbol.dispose]: dispose };
}

/** As `mergeSignals`, and aborts with a PinfoldError `DEADLINE` after `delayMs`. Disposing it cancels the timer. */
export function deadlineSignal(
  timers: Timers,
  delayMs: number,
  ...sources: readonly (AbortSignal | undefined)[]
): ScopedSignal {
  const merged = mergeSignals(...sources);
  const timer = timers.after(Math.max(0, delayMs), () => {
    merged.abort(new PinfoldError('DEADLINE', `not done within ${delayMs} ms`));
  });
  const dispose = () => {
    timer.cancel();
    merged[Symbol.dispose]();
  };
  if (merged.signal.aborted) dispose();
  return { signal: merged.signal, abort: merged.abort, [Symbol.dispose]: dispose };
}

/**
 * What `promise` becomes, or the signal's reason if that aborts first. It only stops waiting: what the promise stands for
 * goes on, and a later rejection of it is handled here, so that nobody is told of it.
 */
export function raceSignal<T>(promise: PromiseLike<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return Promise.resolve(promise);
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    const done = () => signal.removeEventListener('abort', onAbort);
    promise.then(
      (value) => {
        done();
        resolve(value);
      },
      (error) => {
        done();
        reject(error);
      },
    );
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** The items of a source, ended by an abort (with its reason) also while the source keeps us waiting. */
export async function* iterateUntil<T>(
  source: AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  const iterator = source[Symbol.asyncIterator]();
  let isOver = false;
  try {
    for (;;) {
      const next = await raceSignal(iterator.next(), signal);
      if (next.done === true) {
        isOver = true;
        return;
      }
      yield next.value;
    }
  } finally {
    // Not waited for: a source that hangs in `next` would hang here, too. Its own failure is no news any more.
    if (!isOver) iterator.return?.()?.catch(() => {});
  }
}

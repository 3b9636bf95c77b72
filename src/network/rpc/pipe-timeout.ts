import type { Timers } from '../../runtime/clock.ts';
import type { FramePipe } from './frame.ts';
import { FrameError } from './frame.ts';

/** Resets the pipe, which rejects `promise`, when that has not settled in time. */
export async function withPipeTimeout<T>(
  timers: Timers,
  pipe: FramePipe,
  promise: Promise<T>,
  limit: { ms: number; reason: 'silent' | 'slow_reader' },
): Promise<T> {
  const timer = timers.after(limit.ms, () => {
    pipe.abort(new FrameError(limit.reason, `nothing went on for ${limit.ms} ms`));
  });
  try {
    return await promise;
  } finally {
    timer.cancel();
  }
}

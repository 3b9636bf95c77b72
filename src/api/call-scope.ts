import type { CallContext } from '../model/call-context.ts';
import { PinfoldError } from '../model/errors.ts';
import { type Clock, sleep, type Timers } from '../runtime/clock.ts';
import { stopGraceMs } from './constants.ts';

/** A call under way: its context, and what the door does when it ends. */
export interface CallScope {
  readonly context: CallContext;
  /** The caller has gone away, or the transport gave up on it because its deadline has passed. */
  cancel(): void;
  /** The call has ended: forgets the timer. */
  end(): void;
}

export type Authenticate = (credentials: string | undefined) => Pick<CallContext, 'principal' | 'namespaces'>;

/** While there is no authentication: everyone on the loopback may do everything. */
export const anonymous: Authenticate = () => ({ principal: 'anonymous', namespaces: 'all' });

export interface CallScopes {
  open(credentials: string | undefined, deadlineMs: number | undefined): CallScope;
  /** The deadline of a call that has so long left. */
  deadlineIn(leftMs: number): number;
  /**
   * Ends every open call, and every further one at once, with SHUTTING_DOWN. Resolves when all have ended, or after
   * `stopGraceMs`: a handler that does not listen keeps nobody from stopping.
   */
  closeAll(): Promise<void>;
  /** Whether that was done within `stopGraceMs`; it goes on otherwise. */
  inTime(work: Promise<void>): Promise<boolean>;
  /** Resolves after what the transports have to say by now has been said. */
  settled(): Promise<void>;
}

/** Timers cannot wait longer than this (a 32-bit count of milliseconds). */
const timerMsMax = 2 ** 31 - 1;

/**
 * The HTTP/2 of Node.js ends a stream that its client cancels, as if all had been sent, and resets it then: the reset is there at once, or as late
 * as a busy machine is. So long an end is not believed.
 */
const cutToldMsMax = 100;

/** Timers of the transports may fire so much before the deadline by the clock. */
const timerSlackMs = 2;

export function callScopes(needs: { clock: Clock; timers: Timers; authenticate: Authenticate }): CallScopes {
  const { clock, timers } = needs;
  const open = new Set<AbortController>();
  let closing: PromiseWithResolvers<void> | undefined;
  const shuttingDown = () => new PinfoldError('SHUTTING_DOWN', 'this peer is stopping; ask another one');
  const deadlinePassed = () => new PinfoldError('DEADLINE', 'the deadline of the call has passed');

  function inTime(work: Promise<void>): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const timer = timers.after(stopGraceMs, () => resolve(false));
      work.then(() => resolve(true), reject).finally(() => timer.cancel());
    });
  }

  return {
    open(credentials, deadlineMs) {
      const who = needs.authenticate(credentials);
      const controller = new AbortController();
      open.add(controller);
      if (closing !== undefined) controller.abort(shuttingDown());
      const timer =
        deadlineMs === undefined
          ? undefined
          : timers.after(Math.min(Math.max(0, deadlineMs - clock.nowMs()), timerMsMax), () =>
              controller.abort(deadlinePassed()),
            );
      const isLate = () => deadlineMs !== undefined && clock.nowMs() >= deadlineMs - timerSlackMs;
      return {
        context: { ...who, deadlineMs, signal: controller.signal },
        cancel() {
          if (!open.has(controller)) return; // grpc-js cancels calls that are over, too.
          controller.abort(isLate() ? deadlinePassed() : new PinfoldError('CANCELLED', 'the caller has gone away'));
        },
        end() {
          timer?.cancel();
          open.delete(controller);
          if (open.size === 0) closing?.resolve();
        },
      };
    },
    deadlineIn: (leftMs) => clock.nowMs() + leftMs,
    async closeAll() {
      if (closing === undefined) {
        closing = Promise.withResolvers();
        for (const controller of open) controller.abort(shuttingDown());
        if (open.size === 0) closing.resolve();
      }
      await inTime(closing.promise);
    },
    inTime,
    async settled() {
      await sleep(timers, cutToldMsMax);
      // What has come to the socket by now is read before the next turn.
      await sleep(timers, 0);
    },
  };
}

import type { CallContext } from '../model/call-context.ts';
import { PinfoldError } from '../model/errors.ts';
import type { Clock, Timers } from '../runtime/clock.ts';

/** A call under way: its context, and what the door does when it ends. */
export interface CallScope {
  readonly context: CallContext;
  /** The caller has gone away. */
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
  /** Ends every open call, and every further one at once, with SHUTTING_DOWN. */
  closeAll(): void;
}

/** Timers cannot wait longer than this (a 32-bit count of milliseconds). */
const timerMsMax = 2 ** 31 - 1;

export function callScopes(needs: { clock: Clock; timers: Timers; authenticate: Authenticate }): CallScopes {
  const open = new Set<AbortController>();
  let closed = false;
  const shuttingDown = () => new PinfoldError('SHUTTING_DOWN', 'this peer is stopping; ask another one');
  return {
    open(credentials, deadlineMs) {
      const controller = new AbortController();
      open.add(controller);
      if (closed) controller.abort(shuttingDown());
      const timer =
        deadlineMs === undefined
          ? undefined
          : needs.timers.after(Math.min(Math.max(0, deadlineMs - needs.clock.nowMs()), timerMsMax), () =>
              controller.abort(new PinfoldError('DEADLINE', 'the deadline of the call has passed')),
            );
      return {
        context: { ...needs.authenticate(credentials), deadlineMs, signal: controller.signal },
        cancel: () => controller.abort(new PinfoldError('CANCELLED', 'the caller has gone away')),
        end() {
          timer?.cancel();
          open.delete(controller);
        },
      };
    },
    deadlineIn: (leftMs) => needs.clock.nowMs() + leftMs,
    closeAll() {
      closed = true;
      for (const controller of open) controller.abort(shuttingDown());
    },
  };
}

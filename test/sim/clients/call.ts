import type { CallContext } from '../../../src/model/call-context.ts';
import { PinfoldError } from '../../../src/model/errors.ts';
import type { SimProcess } from '../world/sim-process.ts';
import type { World } from '../world/world.ts';

/** A call of a client: it ends when the client has waited long enough, or when the process does. */
export async function called<T>(
  world: World,
  process: SimProcess,
  timeoutMs: number,
  fn: (call: CallContext) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const onClose = () => controller.abort(process.doors.signal.reason);
  process.doors.signal.addEventListener('abort', onClose, { once: true });
  const late = () => controller.abort(new PinfoldError('DEADLINE', 'the client waits no longer'));
  const timer = world.time.after(world.owner, timeoutMs, late);
  const call = { principal: 'anonymous', namespaces: 'all', deadlineMs: undefined, signal: controller.signal } as const;
  try {
    return await Promise.race([fn(call), process.died]);
  } finally {
    timer.cancel();
    process.doors.signal.removeEventListener('abort', onClose);
    controller.abort(new PinfoldError('CANCELLED', 'the client went away'));
  }
}

export function pause(world: World, ms: number): Promise<void> {
  return new Promise((resolve) => {
    world.time.after(world.owner, ms, resolve);
  });
}

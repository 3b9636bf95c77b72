import { compareBytes } from '../../../src/model/bytes.ts';
import { isPinfoldError } from '../../../src/model/errors.ts';
import type { StoredPin } from '../../../src/pinset/pinset.ts';
import { hexOf } from '../checkers/hex.ts';
import type { ListEvent } from '../plan/plan.ts';
import type { SimProcess } from '../world/sim-process.ts';
import { Violation } from '../world/violation.ts';
import type { World } from '../world/world.ts';
import { called } from './call.ts';

/** A client that lists everything in pages, while others write. */
export async function list(world: World, event: ListEvent): Promise<void> {
  const process = world.running(event.machine);
  if (process === undefined) return;
  try {
    const pins = await called(world, process, 10_000, (call) => all(process, event, call));
    const { ever } = world.damages.of(process.machine.name);
    checkOrder(
      pins.filter(({ key }) => !ever.has(hexOf(key))),
      event,
    );
    world.trace.add(world.time.nowMs, `list at ${process.name}: ${pins.length} pins`);
  } catch (problem) {
    if (!isPinfoldError(problem) && process.isRunning) throw problem;
  }
}

async function all(
  process: SimProcess,
  { order, pageSize }: ListEvent,
  call: Parameters<SimProcess['core']['listPins']>[1],
): Promise<StoredPin[]> {
  const pins: StoredPin[] = [];
  let cursor: Uint8Array | undefined;
  do {
    const last = pins.length;
    const query = { filter: {}, order, pageSize, cursor, pieceSize: 7 };
    cursor = undefined;
    for await (const piece of process.core.listPins(query, call)) {
      pins.push(...piece.pins);
      cursor = piece.cursor;
    }
    if (pins.length - last > pageSize)
      throw new Violation('LIST', `a page of ${pins.length - last} pins, ${pageSize} were asked for`);
  } while (cursor !== undefined);
  return pins;
}

/** Whatever is written meanwhile, what is told is in order and nothing stands twice. */
function checkOrder(pins: readonly StoredPin[], { order }: ListEvent): void {
  for (let i = 1; i < pins.length; i++) {
    const [a, b] = [pins[i - 1] as StoredPin, pins[i] as StoredPin];
    if (compare(a, b, order) > 0)
      throw new Violation('LIST', `order ${order}: ${a.pin.name} came before ${b.pin.name}`);
    if (order === 'key' && compareBytes(a.key, b.key) === 0) throw new Violation('LIST', 'a pin stands twice');
  }
}

function compare(a: StoredPin, b: StoredPin, order: ListEvent['order']): number {
  if (order === 'created') return a.pin.createdMs - b.pin.createdMs;
  if (order === 'created-descending') return b.pin.createdMs - a.pin.createdMs;
  if (order === 'key') return compareBytes(a.key, b.key);
  // By namespace's local number, then name: within one namespace names are in order.
  if (a.pin.namespace !== b.pin.namespace) return 0;
  return Buffer.compare(Buffer.from(a.pin.name), Buffer.from(b.pin.name));
}

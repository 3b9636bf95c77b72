import { hash } from 'node:crypto';
import type { BulkWrite } from '../../../src/cluster/pins.ts';
import { isPinfoldError } from '../../../src/model/errors.ts';
import { pinKey } from '../../../src/model/pin-key.ts';
import { hexOf } from '../checkers/hex.ts';
import type { BulkEvent } from '../plan/plan.ts';
import { content } from '../world/contents.ts';
import type { SimProcess } from '../world/sim-process.ts';
import type { World } from '../world/world.ts';
import { called, pause } from './call.ts';
import { plainOptions } from './write.ts';

const timeoutMs = 4_000;

/** A client with a numbered stream: cut, it asks how far it had got and goes on there, maybe at another peer. */
export async function bulk(world: World, id: number, event: BulkEvent): Promise<void> {
  const key = hash('sha256', `stream ${id}`, 'buffer').subarray(0, 16);
  for (const [leg, number] of event.machines.entries()) {
    if (leg > 0) await pause(world, 150 * 2 ** leg);
    const process = world.running(number);
    if (process === undefined) continue;
    const told = await onePeer(world, process, key, id, event);
    world.trace.add(world.time.nowMs, `stream ${id} at ${process.name}: ${told}`);
    if (told === 'done') return;
  }
}

async function onePeer(
  world: World,
  process: SimProcess,
  key: Uint8Array,
  id: number,
  event: BulkEvent,
): Promise<string> {
  try {
    let decided = await called(world, process, timeoutMs, () => process.core.pins.bulkDecided(key));
    world.promises.streamDecided(process, key, decided);
    while (decided < event.count) {
      const first = decided + 1;
      const count = Math.min(event.perCall, event.count - decided);
      const writes = Array.from({ length: count }, (_, i) => writeOf(event, id, first + i));
      for (const write of writes)
        if (write.kind === 'unpin') world.history.removals.asked(hexOf(pinKey(write.cid, write.namespace)));
      const outcomes = await called(world, process, timeoutMs, (call) =>
        process.core.pins.bulk(writes, { key, first }, { kind: 'durable' }, call),
      );
      for (const outcome of outcomes)
        if (outcome.ok) world.promises.acknowledgedPosition(process, outcome.position, 'bulk');
      decided += count;
      world.promises.streamDecided(process, key, decided);
    }
    return 'done';
  } catch (problem) {
    if (isPinfoldError(problem)) return problem.code;
    if (!process.isRunning) return 'no answer';
    throw problem;
  }
}

function writeOf(event: BulkEvent, id: number, number: number): BulkWrite {
  const { cid } = content((event.firstContent + number) % 40);
  const common = { cid, namespace: 'default', condition: undefined };
  if (event.unpins && number % 2 === 0) return { kind: 'unpin', ...common };
  return {
    kind: 'pin',
    ...common,
    options: { ...plainOptions, name: `s${id}n${number}`, replicationMin: -1, replicationMax: -1 },
  };
}

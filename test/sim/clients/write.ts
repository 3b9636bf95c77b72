import { hash } from 'node:crypto';
import type { Pins, PinWrite, WriteOptions, Written } from '../../../src/cluster/pins.ts';
import type { CallContext } from '../../../src/model/call-context.ts';
import { isPinfoldError } from '../../../src/model/errors.ts';
import { pinKey } from '../../../src/model/pin-key.ts';
import { hexOf } from '../checkers/hex.ts';
import type { WriteEvent } from '../plan/plan.ts';
import { content } from '../world/contents.ts';
import type { SimProcess } from '../world/sim-process.ts';
import type { World } from '../world/world.ts';
import { called, pause } from './call.ts';

const timeoutMs = 4_000;
/** Errors that are an answer: nothing was done, and asking again would not help. */
const final = [
  'INVALID_ARGUMENT',
  'PIN_NOT_FOUND',
  'CONFLICT',
  'ABORTED',
  'NOT_ENOUGH_PEERS',
  'FOLLOWER',
  'NOT_TRUSTED',
  'UNIMPLEMENTED',
  'IDEMPOTENCY_MISMATCH',
];

/** A client that writes once, and asks again when it gets no answer. */
export async function write(world: World, id: number, event: WriteEvent): Promise<void> {
  const tried = [event.machine, ...event.retries];
  for (const [attempt, number] of tried.entries()) {
    if (attempt > 0) await pause(world, 100 * 2 ** attempt);
    const process = world.running(number);
    if (process === undefined) continue;
    const told = await once(world, process, id, event);
    world.trace.add(world.time.nowMs, `write ${id} ${event.op} at ${process.name}: ${told}`);
    if (told === 'acknowledged' || final.includes(told)) return;
    // Without a key to know it by, a write of which nothing was heard is not sent again.
    if (!event.hasIdempotencyKey) return;
  }
}

async function once(world: World, process: SimProcess, id: number, event: WriteEvent): Promise<string> {
  try {
    const written = await called(world, process, timeoutMs, (call) => ask(process, id, event, world, call));
    world.promises.acknowledged(process, written, event);
    return 'acknowledged';
  } catch (problem) {
    if (isPinfoldError(problem)) return problem.code;
    if (!process.isRunning || process.owner.isAlive === false) return 'no answer';
    throw problem;
  }
}

function ask(process: SimProcess, id: number, event: WriteEvent, world: World, call: CallContext): Promise<Written> {
  const { pins } = process.core;
  const options: WriteOptions = { ack: event.ack, idempotency: idempotencyOf(id, event) };
  const { cid } = content(event.content);
  const { namespace } = event;
  if (event.op === 'unpin' || event.op === 'replace') world.history.removals.asked(hexOf(pinKey(cid, namespace)));
  if (event.op === 'unpin') return pins.unpin({ kind: 'unpin', cid, namespace, condition: undefined }, options, call);
  if (event.op === 'replace') {
    const to = content(event.to).cid;
    return pins.replace(
      { from: cid, to, namespace, name: undefined, expiresMs: undefined, condition: undefined },
      options,
      call,
    );
  }
  return pins.pin(pinWrite(process, id, event, world), options, call);
}

function pinWrite(process: SimProcess, id: number, event: WriteEvent, world: World): PinWrite {
  const { cid } = content(event.content);
  const shown = process.core.pinset.get(pinKey(cid, event.namespace));
  const expiresInMs = event.op === 'renew' ? Math.max(5_000, event.expiresInMs) : event.expiresInMs;
  const expiresMs = expiresInMs === 0 ? 0 : Math.floor(world.wallMs() + process.machine.clockOffsetMs + expiresInMs);
  return {
    kind: 'pin',
    cid,
    namespace: event.namespace,
    options: { ...plainOptions, name: `w${id}`, mode: event.mode, expiresMs, ...factors(event.replication) },
    condition: conditionOf(event, shown?.etag),
  };
}

export const plainOptions: PinWrite['options'] = {
  name: '',
  mode: 'recursive',
  replicationMin: 0,
  replicationMax: 0,
  userAllocations: [],
  metadata: [],
  origins: ['/memory/origin/p2p/origin'],
  expiresMs: 0,
};

function factors(replication: number): Pick<PinWrite['options'], 'replicationMin' | 'replicationMax'> {
  return replication === 0
    ? { replicationMin: -1, replicationMax: -1 }
    : { replicationMin: 1, replicationMax: replication };
}

function conditionOf(event: WriteEvent, etag: Uint8Array | undefined): Parameters<Pins['pin']>[0]['condition'] {
  if (event.op === 'pin-if-absent') return { kind: 'if-absent' };
  if (event.op === 'pin-if-match' && etag !== undefined) return { kind: 'if-match', etag };
  return undefined;
}

function idempotencyOf(id: number, event: WriteEvent): WriteOptions['idempotency'] {
  if (!event.hasIdempotencyKey) return undefined;
  const half = (text: string) => hash('sha256', text, 'buffer').subarray(0, 16);
  return { key: half(`call ${id}`), request: half(JSON.stringify(event)) };
}

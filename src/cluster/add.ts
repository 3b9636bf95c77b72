import { hash } from 'node:crypto';
import type { AddEntry, Added, Adder } from '../adder/adder.ts';
import type { AckLevel } from '../consensus/consensus.ts';
import type { Connector } from '../ipfs/connector.ts';
import type { CallContext } from '../model/call-context.ts';
import { toV1 } from '../model/cid.ts';
import { invalidField, PinfoldError } from '../model/errors.ts';
import { mergeSignals } from '../runtime/abort.ts';
import { BoundedQueue } from '../runtime/bounded-queue.ts';
import type { Pins, PinWrite, WriteOptions, Written } from './pins.ts';

/** Takes content in and pins it. */
export type AddContent = (
  start: AddStart,
  entries: AsyncIterable<AddEntry>,
  call: CallContext,
) => AsyncIterable<AddEvent>;

export interface AddStart {
  namespace: string;
  options: PinWrite['options'];
  wrapWithDirectory: boolean;
  ack: AckLevel;
  idempotency: WriteOptions['idempotency'];
}

export type AddEvent =
  | { kind: 'progress'; bytes: number }
  | { kind: 'added'; added: Added }
  | { kind: 'pinned'; written: Written };

/** Events that wait for a slow reader before the add waits for it. */
const eventsWaitingMax = 256;
/** Progress is told once in so many bytes. */
const progressStepBytes = 1024 * 1024;

/**
 * Takes content into this peer's node and then, its blocks being on the disk, pins it; this peer is always one of the
 * allocations, since it has the blocks and the others fetch them from it. A stream that breaks pins nothing.
 * Blocks are protected from the collector until the node has a record of the pins: a commit alone holds no block.
 */
export function addContent(needs: {
  adder: Adder;
  pins: Pick<Pins, 'pin' | 'check'>;
  connector: Pick<Connector, 'protect'>;
  /** Resolves when the node here is done with these, or will not be soon; never rejects. */
  held: (cids: readonly Uint8Array[]) => Promise<void>;
  peerId: string;
}): AddContent {
  return async function* add(start, entries, call) {
    needs.pins.check(start, start.ack, call);
    const protection = needs.connector.protect();
    using scope = mergeSignals(call.signal);
    const events = new BoundedQueue<AddEvent>({ limit: eventsWaitingMax });
    const pinned: Uint8Array[] = [];
    const working = work(start, entries, { ...call, signal: scope.signal }, events, pinned).then(
      () => events.close(),
      (failure) => events.fail(failure),
    );
    try {
      yield* events;
    } finally {
      scope.abort(new PinfoldError('CANCELLED', 'the caller has gone away'));
      await working;
      // Nobody waits for that; also what failed half way may have pinned some.
      if (pinned.length === 0) protection.release();
      else void needs.held(pinned).then(() => protection.release());
    }
  };

  async function work(
    start: AddStart,
    entries: AsyncIterable<AddEntry>,
    call: CallContext,
    events: BoundedQueue<AddEvent>,
    pinned: Uint8Array[],
  ): Promise<void> {
    const { signal } = call;
    const { wrapWithDirectory } = start;
    const roots: Added[] = [];
    let told = 0;
    const onProgress = (bytes: number) => {
      if (bytes - told < progressStepBytes) return;
      told = bytes;
      // A reader that is behind needs no old news.
      events.offer({ kind: 'progress', bytes });
    };
    for await (const added of needs.adder.add(entries, { signal, wrapWithDirectory, onProgress })) {
      if (added.isRoot) roots.push(added);
      await events.push({ kind: 'added', added }, { signal });
    }
    if (roots.length === 0) throw invalidField('entry', 'nothing was added: send at least one file or directory');
    for (const root of roots) {
      // Before its answer, which may be lost.
      pinned.push(toV1(root.cid));
      await events.push({ kind: 'pinned', written: await pinRoot(root, start, call) }, { signal });
    }
  }

  function pinRoot(root: Added, start: AddStart, call: CallContext): Promise<Written> {
    const name = start.options.name === '' ? root.path : start.options.name;
    const write: PinWrite = {
      kind: 'pin',
      cid: root.cid,
      namespace: start.namespace,
      options: { ...start.options, name, mode: 'recursive' },
      condition: undefined,
      must: needs.peerId,
    };
    return needs.pins.pin(write, { ack: start.ack, idempotency: idempotencyOf(root, start.idempotency) }, call);
  }
}

/** One call may have several roots: each pin has a key of its own, made from the call's. */
function idempotencyOf(root: Added, call: WriteOptions['idempotency']): WriteOptions['idempotency'] {
  if (call === undefined) return undefined;
  const of = (bytes: Uint8Array) => hash('sha256', Buffer.concat([bytes, root.cid]), 'buffer').subarray(0, 16);
  return { key: of(call.key), request: of(call.request) };
}

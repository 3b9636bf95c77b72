import { hash } from 'node:crypto';
import type { AckLevel } from '../consensus/consensus.ts';
import type { CallContext } from '../model/call-context.ts';
import { invalidField } from '../model/errors.ts';
import { checkNamespace } from '../model/validate-pin.ts';
import { checkNamespaceAllowed, type Pins, type PinWrite, type WriteOptions, type Written } from './pins.ts';

/** What the adder makes of files and directories; the last nodes without a parent are the roots. */
export interface AddedNode {
  path: string;
  /** Binary CID. */
  cid: Uint8Array;
  /** Cumulative size of the DAG, bytes. */
  size: number;
  isRoot: boolean;
}

export interface AddInput {
  path: string;
  /** Undefined: a directory. */
  content: AsyncIterable<Uint8Array> | undefined;
}

export type AddEvent =
  | { kind: 'progress'; bytes: number }
  | { kind: 'node'; node: AddedNode }
  | { kind: 'root'; written: Written };

export interface AddStart {
  namespace: string;
  options: PinWrite['options'];
  wrapWithDirectory: boolean;
  ack: AckLevel;
  idempotency: WriteOptions['idempotency'];
}

/** The adder's port: blocks are on the disk of this peer's node when the node that they belong to is yielded. */
export type StoreContent = (
  inputs: AsyncIterable<AddInput>,
  options: { wrapWithDirectory: boolean; signal: AbortSignal },
) => AsyncIterable<{ kind: 'progress'; bytes: number } | { kind: 'node'; node: AddedNode }>;

/**
 * Takes content into this peer's node and then, its blocks being on the disk, pins it; this peer is always one of the
 * allocations, since it has the blocks and the others fetch them from it. A stream that breaks pins nothing.
 * Blocks are protected from the collector until the pin is committed.
 */
export function addContent(needs: {
  store: StoreContent;
  pins: Pick<Pins, 'pin'>;
  protect: () => { release(): void };
  peerId: string;
}) {
  return async function* add(
    start: AddStart,
    inputs: AsyncIterable<AddInput>,
    call: CallContext,
  ): AsyncIterable<AddEvent> {
    checkNamespace(start.namespace);
    checkNamespaceAllowed(start.namespace, call);
    const protection = needs.protect();
    try {
      const roots: AddedNode[] = [];
      const { wrapWithDirectory } = start;
      for await (const event of needs.store(inputs, { wrapWithDirectory, signal: call.signal })) {
        if (event.kind === 'node' && event.node.isRoot) roots.push(event.node);
        yield event;
      }
      if (roots.length === 0) throw invalidField('entry', 'nothing was added: send at least one file or directory');
      for (const root of roots) yield { kind: 'root', written: await pinRoot(root, start, call) };
    } finally {
      protection.release();
    }
  };

  function pinRoot(root: AddedNode, start: AddStart, call: CallContext): Promise<Written> {
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
function idempotencyOf(root: AddedNode, call: WriteOptions['idempotency']): WriteOptions['idempotency'] {
  if (call === undefined) return undefined;
  const of = (bytes: Uint8Array) => hash('sha256', Buffer.concat([bytes, root.cid]), 'buffer').subarray(0, 16);
  return { key: of(call.key), request: of(call.request) };
}

import { hash } from 'node:crypto';
import { decodeOperations } from '../../../src/consensus/crdt/codec/operations.ts';
import { decodeSignedBatch, openBatch } from '../../../src/consensus/crdt/codec/signed-batch.ts';
import { AMEND, PIN } from '../../../src/consensus/crdt/core/types.ts';
import { formatPeerId } from '../../../src/model/peer-id.ts';
import { hexOf } from './hex.ts';

export interface Placement {
  readonly stamp: number;
  readonly rid: string;
  readonly allocations: readonly string[];
}

/** An operation with names in place of numbers. */
export interface OperationRecord {
  readonly kind: 'pin' | 'unpin' | 'amend';
  /** Pin key, hex. */
  readonly key: string;
  /** `rid sequence` of this operation. */
  readonly dot: string;
  readonly sees: readonly string[];
  readonly stamp: number;
  /** Hash of the value. */
  readonly value: string;
  readonly bytes: Uint8Array;
  readonly placement: Placement;
  readonly idempotency: string | undefined;
}

export interface BatchRecord {
  readonly rid: string;
  readonly author: string;
  readonly first: number;
  readonly last: number;
  readonly hash: string;
  /** Hash of the batch before; empty for the first. */
  readonly prev: string;
  readonly inc: readonly { rid: string; sequence: number }[];
  readonly operations: readonly OperationRecord[];
  readonly runs: readonly { stream: string; first: number; last: number }[];
}

/** Reads a row of the log with the codec alone. */
export function batchRecord(row: Uint8Array): BatchRecord {
  const batch = openBatch(decodeSignedBatch(row));
  const { head } = batch;
  const content = decodeOperations(batch.ops);
  const rid = hexOf(batch.rid);
  const rids = content.rids.map(hexOf);
  const peers = content.peers.map((peer) => formatPeerId(peer));
  const operations = content.operations.map((operation, i): OperationRecord => {
    const sees: string[] = [];
    for (let s = 0; s < operation.sees.length; s += 2) {
      sees.push(`${rids[operation.sees[s] as number]} ${operation.sees[s + 1]}`);
    }
    return {
      kind: kindOf(operation.kind),
      key: hexOf(operation.key),
      dot: `${rid} ${head.first + i}`,
      sees,
      stamp: operation.stamp,
      value: valueHash(operation.value),
      bytes: operation.value,
      placement: {
        stamp: operation.stamp,
        rid,
        allocations: operation.allocations.map((peer) => peers[peer] as string),
      },
      idempotency: operation.idempotency === undefined ? undefined : hexOf(operation.idempotency),
    };
  });
  return {
    rid,
    author: formatPeerId(head.author),
    first: head.first,
    last: head.last,
    hash: hexOf(batch.hash),
    prev: hexOf(head.prev),
    inc: head.inc.map((entry) => ({ rid: hexOf(entry.rid), sequence: entry.sequence })),
    operations,
    runs: content.runs.map(({ stream, first, last }) => ({ stream: hexOf(stream), first, last })),
  };
}

export function valueHash(value: Uint8Array): string {
  return hash('sha256', value, 'hex').slice(0, 12);
}

function kindOf(kind: number): OperationRecord['kind'] {
  if (kind === PIN) return 'pin';
  return kind === AMEND ? 'amend' : 'unpin';
}

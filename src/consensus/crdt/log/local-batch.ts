import { formatPeerId } from '../../../model/peer-id.ts';
import type { Names } from '../../../pinset/pinset.ts';
import { decodeOperations } from '../codec/operations.ts';
import type { LocalOperation } from '../core/operation-writer.ts';
import type { Batch, Operation, Operations } from '../core/types.ts';

/** A batch that was taken in, with the local numbers of the names in its tables; -1: a name that nothing here stands for. */
export interface LocalBatch extends Pick<Batch, 'head'> {
  readonly content: Operations;
  readonly replicas: readonly number[];
  readonly peers: readonly number[];
}

/** Throws InvalidBatch. */
export function localBatch({ head, ops }: Batch, names: Names): LocalBatch {
  const content = decodeOperations(ops);
  return {
    head,
    content,
    replicas: content.rids.map((rid) => names.replicas.find(rid) ?? -1),
    peers: content.peers.map((peer) => names.peers.find(formatPeerId(peer)) ?? -1),
  };
}

export function localOperation({ content, replicas, peers }: LocalBatch, position: number): LocalOperation {
  const operation = content.operations[position] as Operation;
  return {
    ...operation,
    sees: operation.sees.map((n, i) => (i % 2 === 0 ? (replicas[n] as number) : n)),
    allocations: operation.allocations.map((n) => peers[n] as number),
  };
}

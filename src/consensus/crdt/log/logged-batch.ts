import { formatPeerId } from '../../../model/peer-id.ts';
import type { Names } from '../../../pinset/pinset.ts';
import type { Reader } from '../../../storage/storage.ts';
import { decodeHeader } from '../codec/header.ts';
import { decodeOperations } from '../codec/operations.ts';
import { decodeSignedBatch } from '../codec/signed-batch.ts';
import type { LocalOperation } from '../core/operation-writer.ts';
import type { BatchHeader, Operation, Operations } from '../core/types.ts';
import { logKey } from '../state/keys.ts';
import { logTable } from '../tables.ts';

/** A batch of the log, with the local numbers of the names in its tables; -1: a name that nothing here stands for. */
export interface LoggedBatch {
  readonly head: BatchHeader;
  readonly content: Operations;
  readonly replicas: readonly number[];
  readonly peers: readonly number[];
}

/** The batch that holds that operation of a replica, or the first after it; undefined: the log has none. Throws InvalidBatch. */
export function loggedBatch(reader: Reader, names: Names, replica: number, sequence: number): LoggedBatch | undefined {
  const range = { from: logKey(replica, sequence), to: logKey(replica + 1, 0), limit: 1 };
  for (const { value } of reader.range(logTable, range)) {
    const { header, ops } = decodeSignedBatch(value);
    const content = decodeOperations(ops);
    return {
      head: decodeHeader(header),
      content,
      replicas: content.rids.map((rid) => names.replicas.find(rid) ?? -1),
      peers: content.peers.map((peer) => names.peers.find(formatPeerId(peer)) ?? -1),
    };
  }
  return undefined;
}

export function localOperation({ content, replicas, peers }: LoggedBatch, position: number): LocalOperation {
  const operation = content.operations[position] as Operation;
  return {
    ...operation,
    sees: operation.sees.map((n, i) => (i % 2 === 0 ? (replicas[n] as number) : n)),
    allocations: operation.allocations.map((n) => peers[n] as number),
  };
}

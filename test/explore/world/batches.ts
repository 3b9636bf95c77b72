import { checkedOperations } from '../../../src/consensus/crdt/codec/operations.ts';
import { type BatchParts, openBatch } from '../../../src/consensus/crdt/codec/signed-batch.ts';
import type { LocalTables } from '../../../src/consensus/crdt/core/apply.ts';
import type { Batch, Operations } from '../../../src/consensus/crdt/core/types.ts';
import { byteString } from '../../../src/model/bytes.ts';
import { formatPeerId } from '../../../src/model/peer-id.ts';
import { names, replicaNumber } from './names.ts';

/** A batch that some history has written. The same bytes are the same batch: its number stands for it. */
export interface KnownBatch {
  readonly id: number;
  readonly batch: Batch;
  readonly content: Operations;
  /** Its tables in local numbers, for R6. */
  readonly tables: LocalTables;
  readonly replica: number;
  readonly first: number;
  readonly last: number;
  /** The author's batch before; 0: none. */
  readonly previous: number;
  /** Not on the wire, for the invariants alone: the author's clock before it. */
  readonly deps: readonly number[];
  /** A pin that automation wrote, which only a planted fault does. */
  readonly isAutomatic: boolean;
}

const known: (KnownBatch | undefined)[] = [undefined];
const byHash = new Map<string, KnownBatch>();

export function knownBatch(id: number): KnownBatch {
  return known[id] as KnownBatch;
}

/** Throws InvalidBatch if it is not valid (R1): what a peer writes must be taken by every other. */
export function addBatch(
  parts: BatchParts,
  ghost: { previous: number; deps: readonly number[]; isAutomatic: boolean },
): KnownBatch {
  const batch = openBatch(parts);
  const hash = byteString(batch.hash);
  const same = byHash.get(hash);
  if (same !== undefined) return same;
  const content = checkedOperations(batch);
  const replica = replicaNumber(batch.rid);
  const tables: LocalTables = {
    author: replica,
    first: batch.head.first,
    replicas: content.rids.map(replicaNumber),
    peers: content.peers.map((peer) => names.peers.ensure(formatPeerId(peer))),
  };
  const { first, last } = batch.head;
  const added = { id: known.length, batch, content, tables, replica, first, last, ...ghost };
  known.push(added);
  byHash.set(hash, added);
  return added;
}

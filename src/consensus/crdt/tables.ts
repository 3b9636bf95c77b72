import type { TableName, TableSpec } from '../../storage/storage.ts';

/** One row, JSON: format, own replicas, identity stamp (N1), last stamp. */
export const selfTable: TableName = 'crdt_self';
/** Local number (4 bytes) -> pinfold.store.v1.Replica: C[r], H[r], F[r]. */
export const replicasTable: TableName = 'crdt_replicas';
/** Local number of the replica (4 bytes), last sequence (8 bytes) -> pinfold.peer.v1.SignedBatch as signed. */
export const logTable: TableName = 'crdt_log';
/** Running number (4 bytes) -> time, bytes, and what C was then: how old the batches of the log are (4.7). */
export const logMarksTable: TableName = 'crdt_log_marks';
/** Hash of a call's or stream's key (16 bytes) -> what came of it. */
export const idempotencyTable: TableName = 'crdt_idempotency';
/** Time (6 bytes), hash -> nothing: what is forgotten next. */
export const idempotencyAgeTable: TableName = 'crdt_idempotency_age';
/** One row: base, C', goal and H' of the shadow (B2). */
export const shadowTable: TableName = 'crdt_shadow';
/** Hash of a trust list (32 bytes) -> pinfold.peer.v1.TrustList: those that records of members name (T4). */
export const trustListsTable: TableName = 'crdt_trust_lists';

/** Peer ID (binary) -> when it was last heard, and the flushed clock that it acknowledged. A hint. */
export const acksTable: TableName = 'crdt_acks';
/** Running number (4 bytes) -> pin keys, each after its length: what the swap may change (6.4). */
export const shadowKeysTable: TableName = 'crdt_shadow_keys';

/** Local number of the replica (4 bytes), first sequence of the branches (8 bytes) -> JSON: what is known of a fork (N4). */
export const forksTable: TableName = 'crdt_forks';

/** To be declared when the store is opened. */
export const crdtTables: readonly TableSpec[] = [
  { name: selfTable },
  { name: replicasTable },
  { name: logTable, writeOnly: true },
  { name: logMarksTable, writeOnly: true },
  { name: idempotencyTable },
  { name: idempotencyAgeTable, writeOnly: true },
  { name: shadowTable },
  { name: acksTable, writeOnly: true },
  { name: trustListsTable },
  { name: forksTable, writeOnly: true },
  { name: shadowKeysTable, writeOnly: true },
];

import type { Op, Request } from '../../../src/consensus/consensus.ts';
import { encodeHeader } from '../../../src/consensus/crdt/codec/header.ts';
import { BatchBuilder, full } from '../../../src/consensus/crdt/core/batch-builder.ts';
import { incSince, ownHeader } from '../../../src/consensus/crdt/core/own-header.ts';
import { type RowEntry, TransactionRows } from '../../../src/consensus/crdt/core/rows.ts';
import { PinfoldError } from '../../../src/model/errors.ts';
import { parsePeerId } from '../../../src/model/peer-id.ts';
import type { PinFields, PinKey } from '../../../src/model/pin.ts';
import { rowEtag, shownDot } from '../../../src/pinset/row-hash.ts';
import { addBatch, type KnownBatch } from '../world/batches.ts';
import { batchOf, hashOf, sequenceOf, slotAfter } from '../world/clocks.ts';
import { memoryAt, memoryOf } from '../world/memory.ts';
import { keyNumber, keys, names, peerId, replicas } from '../world/names.ts';
import { rowOf } from '../world/rows.ts';
import { type Store, storeOf } from '../world/store.ts';
import { changedRows, liveNamed, withBatch, withNamed } from './taking.ts';

/** What may be written: in the numbers of actions. */
export const writes = [
  'pin',
  'pin that expires',
  'unpin',
  'expire',
  'amend',
  'update',
  'pin and unpin',
  'pin twice',
] as const;
export type Write = (typeof writes)[number];

export interface Written {
  readonly store: Store;
  readonly memory: number;
  readonly batch: KnownBatch;
}

/** All happens at one time, so stamps count; what expires has done so by then. */
const nowMs = 2;

/** C1 and C2: one batch, of one request or of two that came together. Undefined: nothing is done. */
export function write(store: Store, memory: number, replica: number, what: number, key: number): Written | undefined {
  const code = (((memory * 4 + replica) * 8 + what) * 2 + key) * 8 + 2;
  return (
    store.once(code, () => written(store, memory, replica, requestsOf(store, replica, what, key)) ?? null) ?? undefined
  );
}

function written(store: Store, memory: number, replica: number, requests: Request[]): Written | undefined {
  const { clock, rows, log, lastStamp, shadow } = store.value;
  const own = clock[replica] as number;
  const builder = builderFor(replica, sequenceOf(own) + 1, lastStamp);
  const transaction = new TransactionRows();
  const read = (key: PinKey) => rowOf(rows[keyNumber(key)] as number);
  for (const request of requests) {
    const entries: RowEntry[] = request.ops.map(({ key }) => transaction.entry(key, read));
    const done = builder.add(request, entries);
    if (done instanceof PinfoldError || done === full) throw new Error(`a write was refused: ${String(done)}`);
  }
  if (builder.operations === 0) return undefined;
  const batch = sealed(store, memoryAt(memory).incBase, replica, builder, requests.some(isAutomatic));
  const value = {
    ...store.value,
    clock: clock.with(replica, slotAfter(batch.id)),
    rows: changedRows(rows, transaction),
    log: withBatch(log, batch.id),
    lastStamp: builder.lastStamp,
    shadow: shadow && withNamed(shadow, liveNamed(batch)),
  };
  const incBase = store.sequences;
  return { store: storeOf(value), memory: memoryOf({ ...memoryAt(memory), incBase }), batch };
}

function isAutomatic({ ops }: Request): boolean {
  return ops.some(({ kind }) => kind === 'amend');
}

function builderFor(replica: number, first: number, lastStamp: number): BatchBuilder {
  return new BatchBuilder({
    replica,
    first,
    lastStamp,
    nowMs,
    isBehind: false,
    tables: { rid: (number) => names.replicas.name(number), peer: (peer) => parsePeerId(names.peers.name(peer)) },
    peerNumber: (id) => names.peers.ensure(id),
    shownDot: (row) => shownDot(names, row),
    etag: (key, row) => rowEtag(names, key, row),
  });
}

function sealed(
  store: Store,
  incBase: readonly number[],
  replica: number,
  builder: BatchBuilder,
  isAutomatic: boolean,
): KnownBatch {
  const { clock } = store.value;
  const { last } = builder;
  const ops = builder.take();
  const entries = replicas.map(({ rid, number }) => ({ rid, number, sequence: store.sequences[number] as number }));
  const own = entries[replica] as (typeof entries)[number];
  const inc = incSince(entries, own, ({ number }) => incBase[number] ?? 0);
  const { author, incarnation } = replicas[replica] as (typeof replicas)[number];
  const before = { incarnation, sequence: own.sequence, hash: hashOf(clock[replica] as number) };
  const header = encodeHeader(ownHeader(author, before, { last, ops, inc }));
  const parts = { header, signature: new Uint8Array(64), ops };
  return addBatch(parts, { previous: batchOf(clock[replica] as number), deps: clock, isAutomatic });
}

function requestsOf(store: Store, replica: number, what: number, number: number): Request[] {
  const kind = writes[what] as Write;
  const key = keys[number] as PinKey;
  const first = pin(store, replica, number, 0);
  if (kind === 'update') return [{ ops: [pin(store, replica, 1, 0), { kind: 'unpin', key: keys[0] as PinKey }] }];
  if (kind === 'pin and unpin') return [{ ops: [first] }, { ops: [{ kind: 'unpin', key }] }];
  if (kind === 'pin twice') return [{ ops: [first] }, { ops: [first] }];
  return [{ ops: [opOf(store, replica, kind, number)] }];
}

function opOf(store: Store, replica: number, kind: Write, number: number): Op {
  const key = keys[number] as PinKey;
  if (kind === 'unpin') return { kind: 'unpin', key };
  if (kind === 'pin') return pin(store, replica, number, 0);
  if (kind === 'pin that expires') return pin(store, replica, number, 1);
  const basis = rowEtag(names, key, rowOf(store.value.rows[number] as number));
  return kind === 'expire' ? { kind, key, basis } : { kind: 'amend', key, basis, allocations: [peerId(replica)] };
}

/** Each pin has a name of its own, so that a value put beside another's dot would be seen. */
function pin(store: Store, replica: number, key: number, expiresMs: number): Op {
  const fields = { ...plainFields, name: `${replica}.${(store.sequences[replica] as number) + 1}`, expiresMs };
  return { kind: 'pin', key: keys[key] as PinKey, fields, allocations: [] };
}

const plainFields: PinFields = {
  name: '',
  mode: 'recursive',
  replicationMin: -1,
  replicationMax: -1,
  userAllocations: [],
  metadata: [],
  origins: [],
  createdMs: 0,
  expiresMs: 0,
  updatedFrom: undefined,
  type: 'data',
};

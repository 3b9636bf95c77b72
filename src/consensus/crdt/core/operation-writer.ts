import { varintSize, Writer } from '../../../pinset/codec/writer.ts';
import {
  ALLOCATIONS,
  IDEMPOTENCY,
  KIND,
  OPERATION,
  PEERS,
  PIN_KEY,
  RIDS,
  RUN_FIRST,
  RUN_LAST,
  RUN_POSITION,
  RUN_STREAM,
  SEES,
  STAMP,
  STREAM_RUN,
  VALUE,
} from '../codec/operations.ts';
import type { StreamRun } from './types.ts';

// One batch is built at a time, synchronously, so the buffers are shared and keep their size.
const body = new Writer(1024 * 1024);
const table = new Writer(64 * 1024);
const runWriter = new Writer(64);

/** Upper bounds of what a table entry and a run add: tag, length, content. */
const RID_ENTRY_BYTES = 18;
const PEER_ENTRY_BYTES = 40;
const RUN_BYTES = 48;

/** An operation in local numbers: what `OperationWriter` turns into positions in the batch's tables. */
export interface LocalOperation {
  kind: number;
  key: Uint8Array;
  /** Pairs (local number of the replica, sequence). */
  sees: readonly number[];
  stamp: number;
  value: Uint8Array | undefined;
  /** Local numbers of peers. */
  allocations: readonly number[];
  idempotency: Uint8Array | undefined;
}

export interface Tables {
  rid(replica: number): Uint8Array;
  /** Binary peer ID. */
  peer(peer: number): Uint8Array;
}

/**
 * Writes pinfold.peer.v1.Operations straight into one growing buffer, as the generated code would: every operation of a bulk
 * stream passes here.
 */
export class OperationWriter {
  readonly #tables: Tables;
  readonly #rids: number[] = [];
  readonly #peers: number[] = [];
  /** Local number -> position in the batch's table. */
  readonly #ridPositions: number[] = [];
  readonly #peerPositions: number[] = [];
  readonly #runs: StreamRun[] = [];

  constructor(tables: Tables) {
    this.#tables = tables;
    body.at = 0;
  }

  /** At least the bytes of the batch's operations. */
  get bytes(): number {
    return (
      body.at +
      this.#rids.length * RID_ENTRY_BYTES +
      this.#peers.length * PEER_ENTRY_BYTES +
      this.#runs.length * RUN_BYTES
    );
  }

  /** Where the next operation will stand: for `rollback`. */
  get mark(): number {
    return body.at;
  }

  /** Takes back the operations behind a mark. Table entries stay: unused ones do no harm. */
  rollback(mark: number): void {
    body.at = mark;
  }

  operation({ kind, key, sees, stamp, value, allocations, idempotency }: LocalOperation): void {
    const seesSize = this.#seesSize(sees);
    const allocationsSize = this.#allocationsSize(allocations);
    const valueLength = value?.length ?? 0;
    const size =
      2 +
      fieldSize(key.length) +
      (seesSize > 0 ? fieldSize(seesSize) : 0) +
      (1 + varintSize(stamp)) +
      (valueLength > 0 ? fieldSize(valueLength) : 0) +
      (allocationsSize > 0 ? fieldSize(allocationsSize) : 0) +
      (idempotency === undefined ? 0 : fieldSize(idempotency.length));
    body.ensure(size + 8);
    tagged(OPERATION, size);
    body.bytes[body.at++] = KIND;
    body.bytes[body.at++] = kind;
    putBytes(PIN_KEY, key);
    if (seesSize > 0) this.#putSees(sees, seesSize);
    tagged(STAMP, stamp);
    if (valueLength > 0) putBytes(VALUE, value as Uint8Array);
    if (allocationsSize > 0) this.#putAllocations(allocations, allocationsSize);
    if (idempotency !== undefined) putBytes(IDEMPOTENCY, idempotency);
  }

  /** The operation written last at `position` was number `number` of that stream. */
  run(stream: Uint8Array, number: number, position: number, operations: number): void {
    const last = this.#runs.at(-1);
    const goesOn =
      operations === 1 &&
      last !== undefined &&
      last.stream === stream &&
      last.last === number - 1 &&
      last.position + (last.last - last.first + 1) === position;
    if (goesOn) last.last = number;
    else this.#runs.push({ stream, first: number, last: number, position });
  }

  /** A run as another batch had it. */
  copyRun(run: StreamRun): void {
    this.#runs.push(run);
  }

  take(): Uint8Array {
    table.at = 0;
    for (const replica of this.#rids) table.bytesField(RIDS, this.#tables.rid(replica));
    for (const peer of this.#peers) table.bytesField(PEERS, this.#tables.peer(peer));
    const headSize = table.at;
    for (const run of this.#runs) table.bytesField(STREAM_RUN, encodeRun(run));
    const taken = Buffer.allocUnsafeSlow(body.at + table.at);
    table.bytes.copy(taken, 0, 0, headSize);
    body.bytes.copy(taken, headSize, 0, body.at);
    table.bytes.copy(taken, headSize + body.at, headSize, table.at);
    return taken;
  }

  #seesSize(sees: readonly number[]): number {
    let size = 0;
    for (let i = 0; i < sees.length; i += 2) {
      size += varintSize(this.#ridPosition(sees[i] as number)) + varintSize(sees[i + 1] as number);
    }
    return size;
  }

  #putSees(sees: readonly number[], size: number): void {
    tagged(SEES, size);
    for (let i = 0; i < sees.length; i += 2) {
      body.varint(this.#ridPosition(sees[i] as number));
      body.varint(sees[i + 1] as number);
    }
  }

  #allocationsSize(allocations: readonly number[]): number {
    let size = 0;
    for (let i = 0; i < allocations.length; i++) size += varintSize(this.#peerPosition(allocations[i] as number));
    return size;
  }

  #putAllocations(allocations: readonly number[], size: number): void {
    tagged(ALLOCATIONS, size);
    for (let i = 0; i < allocations.length; i++) body.varint(this.#peerPosition(allocations[i] as number));
  }

  #ridPosition(replica: number): number {
    return this.#ridPositions[replica] ?? this.#newRid(replica);
  }

  #newRid(replica: number): number {
    this.#ridPositions[replica] = this.#rids.length;
    return this.#rids.push(replica) - 1;
  }

  #peerPosition(peer: number): number {
    return this.#peerPositions[peer] ?? this.#newPeer(peer);
  }

  #newPeer(peer: number): number {
    this.#peerPositions[peer] = this.#peers.length;
    return this.#peers.push(peer) - 1;
  }
}

function fieldSize(length: number): number {
  return 1 + varintSize(length) + length;
}

function tagged(tag: number, n: number): void {
  body.bytes[body.at++] = tag;
  body.varint(n);
}

function putBytes(tag: number, value: Uint8Array): void {
  tagged(tag, value.length);
  body.bytes.set(value, body.at);
  body.at += value.length;
}

function encodeRun(run: StreamRun): Uint8Array {
  runWriter.at = 0;
  runWriter.bytesField(RUN_STREAM, run.stream);
  runWriter.varintField(RUN_FIRST, run.first);
  runWriter.varintField(RUN_LAST, run.last);
  runWriter.varintField(RUN_POSITION, run.position);
  return runWriter.take();
}

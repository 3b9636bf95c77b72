import { PinfoldError } from '../../../model/errors.ts';
import { Malformed, Reader } from '../../../pinset/codec/reader.ts';
import { Writer } from '../../../pinset/codec/writer.ts';

// pinfold.store.v1.Replica by hand: one is written with every batch.
const RID = 0x0a;
const PEER_ID = 0x12;
const INCARNATION = 0x19;
const CLOCK = 0x20;
const HASH = 0x2a;
const FLOOR = 0x30;
const FROZEN = 0x3a;

export interface ReplicaRow {
  rid: Uint8Array;
  /** Binary. Empty while only its rid is known. */
  peerId: Uint8Array;
  /** 8 bytes, big-endian. */
  incarnation: Uint8Array;
  /** C[r]. */
  clock: number;
  /** H[r]. */
  hash: Uint8Array;
  /** F[r]. */
  floor: number;
  /** Why its author is frozen (N4); empty: it is not. */
  frozen: string;
}

const writer = new Writer(512);

export function encodeReplicaRow(row: ReplicaRow): Uint8Array {
  writer.at = 0;
  writer.bytesField(RID, row.rid);
  writer.bytesField(PEER_ID, row.peerId);
  writer.ensure(9);
  writer.bytes[writer.at++] = INCARNATION;
  for (let i = 7; i >= 0; i--) writer.bytes[writer.at++] = row.incarnation[i] as number;
  writer.varintField(CLOCK, row.clock);
  if (row.hash.length > 0) writer.bytesField(HASH, row.hash);
  writer.varintField(FLOOR, row.floor);
  if (row.frozen !== '') writer.textField(FROZEN, row.frozen);
  return writer.take();
}

/** Throws DATA_CORRUPT. */
export function decodeReplicaRow(bytes: Uint8Array): ReplicaRow {
  try {
    return read(new Reader(bytes));
  } catch (cause) {
    if (!(cause instanceof Malformed)) throw cause;
    throw new PinfoldError('DATA_CORRUPT', `a row of the replicas is damaged: ${cause.message}`, { cause });
  }
}

const none = new Uint8Array(0);

function read(reader: Reader): ReplicaRow {
  const row: ReplicaRow = {
    rid: none,
    peerId: none,
    incarnation: new Uint8Array(8),
    clock: 0,
    hash: none,
    floor: 0,
    frozen: '',
  };
  while (reader.more) {
    const tag = reader.varint();
    if (tag === RID) row.rid = reader.view();
    else if (tag === PEER_ID) row.peerId = reader.view();
    else if (tag === INCARNATION) {
      row.incarnation = reader.bytes.subarray(reader.at, reader.at + 8).toReversed();
      reader.at += 8;
    } else if (tag === CLOCK) row.clock = reader.varint();
    else if (tag === HASH) row.hash = reader.view();
    else if (tag === FLOOR) row.floor = reader.varint();
    else if (tag === FROZEN) row.frozen = reader.text();
    else reader.skip(tag);
  }
  return row;
}

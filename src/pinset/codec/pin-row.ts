import type { LiveDot, PinRow } from '../pinset.ts';
import { Malformed, Reader } from './reader.ts';
import { varintSize, Writer } from './writer.ts';

// pinfold.store.v1.PinRow by hand, as pin-value.ts.
const DOT = 0x0a;
const REPLICA = 0x08;
const SEQUENCE = 0x10;
const STAMP = 0x18;
const VALUE = 0x22;
const PLACEMENT_STAMP = 0x28;
const PLACEMENT_REPLICA = 0x30;
const ALLOCATIONS = 0x3a;
const ALLOCATION = 0x38;

const writer = new Writer();

export function encodePinRow(row: PinRow): Uint8Array {
  writer.at = 0;
  for (const dot of row) writeDot(dot);
  return writer.take();
}

function writeDot(dot: LiveDot): void {
  const ownPlacement = dot.placementStamp === dot.stamp && dot.placementReplica === dot.replica;
  const allocationsSize = packedSize(dot.allocations);
  const size =
    fieldSize(dot.replica) +
    fieldSize(dot.sequence) +
    fieldSize(dot.stamp) +
    (dot.value.length === 0 ? 0 : 1 + varintSize(dot.value.length) + dot.value.length) +
    (ownPlacement ? 0 : fieldSize(dot.placementStamp) + fieldSize(dot.placementReplica)) +
    (allocationsSize === 0 ? 0 : 1 + varintSize(allocationsSize) + allocationsSize);
  writer.ensure(size + 11);
  writer.bytes[writer.at++] = DOT;
  writer.varint(size);
  writer.varintField(REPLICA, dot.replica);
  writer.varintField(SEQUENCE, dot.sequence);
  writer.varintField(STAMP, dot.stamp);
  if (dot.value.length > 0) writer.bytesField(VALUE, dot.value);
  if (!ownPlacement) {
    writer.varintField(PLACEMENT_STAMP, dot.placementStamp);
    writer.varintField(PLACEMENT_REPLICA, dot.placementReplica);
  }
  if (allocationsSize === 0) return;
  writer.bytes[writer.at++] = ALLOCATIONS;
  writer.varint(allocationsSize);
  for (const peer of dot.allocations) writer.varint(peer);
}

function fieldSize(n: number): number {
  return n === 0 ? 0 : 1 + varintSize(n);
}

function packedSize(numbers: readonly number[]): number {
  let size = 0;
  for (const n of numbers) size += varintSize(n);
  return size;
}

/** Throws Malformed. Values are views into `bytes`. */
export function decodePinRow(bytes: Uint8Array): PinRow {
  const reader = new Reader(bytes);
  const row: LiveDot[] = [];
  while (reader.more) {
    const tag = reader.varint();
    if (tag === DOT) row.push(readDot(reader.message()));
    else reader.skip(tag);
  }
  if (row.length === 0) throw new Malformed('no live dot');
  return row;
}

const noBytes = new Uint8Array(0);

function readDot(reader: Reader): LiveDot {
  const allocations: number[] = [];
  const dot: LiveDot = {
    replica: 0,
    sequence: 0,
    stamp: 0,
    value: noBytes,
    placementStamp: 0,
    placementReplica: 0,
    allocations,
  };
  while (reader.more) {
    const tag = reader.varint();
    if (tag === REPLICA) dot.replica = reader.uint32();
    else if (tag === SEQUENCE) dot.sequence = reader.varint();
    else if (tag === STAMP) dot.stamp = reader.varint();
    else if (tag === VALUE) dot.value = reader.view();
    else if (tag === PLACEMENT_STAMP) dot.placementStamp = reader.varint();
    else if (tag === PLACEMENT_REPLICA) dot.placementReplica = reader.uint32();
    else if (tag === ALLOCATIONS) readPacked(reader.message(), allocations);
    else if (tag === ALLOCATION) allocations.push(reader.uint32());
    else reader.skip(tag);
  }
  if (dot.placementStamp === 0) {
    dot.placementStamp = dot.stamp;
    dot.placementReplica = dot.replica;
  }
  return dot;
}

function readPacked(reader: Reader, into: number[]): void {
  while (reader.more) into.push(reader.uint32());
}

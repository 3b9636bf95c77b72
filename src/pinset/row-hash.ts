import { hash } from 'node:crypto';
import { compareBytes } from '../model/bytes.ts';
import type { PinKey } from '../model/pin.ts';
import { peerIdBytes } from './codec/peer-id.ts';
import { Writer } from './codec/writer.ts';
import type { LiveDot, Names, PinRow } from './pinset.ts';

const writer = new Writer();
const etagBytes = 16;

/**
 * Hash of the canonical row (docs/protocol.md section 8), the same at every peer: SHA-256 over the pin key and the live dots by (rid,
 * sequence), each with stamp, value, placement stamp and author, and allocations as binary peer IDs. All numbers are of
 * fixed size, all bytes have their length before them. An empty row has no hash.
 */
export function rowHash(names: Names, key: PinKey, row: PinRow): Uint8Array {
  return Buffer.from(rowHashString(names, key, row), 'latin1');
}

/** The same, one byte a character: Node makes a string of it in a third of the time of a Buffer. */
export function rowHashString(names: Names, key: PinKey, row: PinRow): string {
  begin(key);
  for (const dot of canonical(names, row)) {
    writeDotId(names, dot);
    writer.uint64(dot.stamp);
    writer.ensure(dot.value.length + 64);
    writer.uint64(dot.value.length);
    writer.bytes.set(dot.value, writer.at);
    writer.at += dot.value.length;
    writePlacement(names, dot);
    writer.uint64(dot.allocations.length);
    for (const peer of dot.allocations) writeShort(peerIdBytes(names.peers.name(peer)));
  }
  return end();
}

/** First 16 bytes of SHA-256 over pin key, live dots and placements (docs/protocol.md 6.2): equal on any two peers that agree. */
export function rowEtag(names: Names, key: PinKey, row: PinRow): Uint8Array {
  begin(key);
  for (const dot of canonical(names, row)) {
    writeDotId(names, dot);
    writePlacement(names, dot);
  }
  return Buffer.from(end(), 'latin1').subarray(0, etagBytes);
}

function begin(key: PinKey): void {
  writer.at = 0;
  writeShort(key);
}

function end(): string {
  return hash('sha256', writer.bytes.subarray(0, writer.at), 'binary');
}

function writeDotId(names: Names, dot: LiveDot): void {
  writeShort(names.replicas.name(dot.replica));
  writer.uint64(dot.sequence);
}

function writePlacement(names: Names, dot: LiveDot): void {
  writer.ensure(16);
  writer.uint64(dot.placementStamp);
  writeShort(names.replicas.name(dot.placementReplica));
}

/** At most 255 bytes, their number before them. Leaves room for two numbers. */
function writeShort(bytes: Uint8Array): void {
  writer.ensure(bytes.length + 32);
  writer.bytes[writer.at++] = bytes.length;
  writer.bytes.set(bytes, writer.at);
  writer.at += bytes.length;
}

function canonical(names: Names, row: PinRow): PinRow {
  if (row.length < 2) return row;
  return row.toSorted((a, b) => compareReplicas(names, a.replica, b.replica) || a.sequence - b.sequence);
}

/** By rid: the same at every peer, as local numbers are not. */
export function compareReplicas(names: Names, a: number, b: number): number {
  return a === b ? 0 : compareBytes(names.replicas.name(a), names.replicas.name(b));
}

/** The dot whose value is shown: the greatest by (stamp, rid, sequence). */
export function shownDot(names: Names, row: PinRow): LiveDot | undefined {
  let shown = row[0];
  for (let i = 1; i < row.length; i++) {
    const dot = row[i] as LiveDot;
    if (isGreater(names, dot, shown as LiveDot)) shown = dot;
  }
  return shown;
}

function isGreater(names: Names, a: LiveDot, b: LiveDot): boolean {
  if (a.stamp !== b.stamp) return a.stamp > b.stamp;
  return (compareReplicas(names, a.replica, b.replica) || a.sequence - b.sequence) > 0;
}

import type { PinKey } from '../../../model/pin.ts';
import { pinLimits } from '../../../model/pin.ts';
import { Malformed, Reader } from '../../../pinset/codec/reader.ts';
import { varintSize, Writer } from '../../../pinset/codec/writer.ts';
import type { HashedRow, LiveDot, PinRow } from '../../../pinset/pinset.ts';
import { byDot } from '../core/rows.ts';

// pinfold.peer.v1.RangeRowList by hand: joining a large cluster passes every row through here.
const ROW = 0x0a;
const PIN_KEY = 0x0a;
const DOT = 0x12;
const RID = 0x08;
const SEQUENCE = 0x10;
const STAMP = 0x18;
const VALUE = 0x22;
const PLACEMENT_STAMP = 0x28;
const PLACEMENT_RID = 0x30;
const ALLOCATIONS = 0x3a;

const none: Uint8Array = new Uint8Array(0);

/** A table that grows from message to message: what is new of it is sent with the next one. */
class GrowingTable {
  readonly #positions: number[] = [];
  #size = 0;
  fresh: number[] = [];

  position(number: number): number {
    const known = this.#positions[number];
    if (known !== undefined) return known;
    this.#positions[number] = this.#size;
    this.fresh.push(number);
    return this.#size++;
  }

  takeFresh(): number[] {
    const { fresh } = this;
    this.fresh = [];
    return fresh;
  }
}

/** Writes rows of one answer, message by message. */
export class RangeRowWriter {
  readonly #rids = new GrowingTable();
  readonly #peers = new GrowingTable();
  readonly #rows = new Writer(256 * 1024);
  readonly #dot = new Writer(32 * 1024);
  readonly #allocations = new Writer(4 * 1024);

  get bytes(): number {
    return this.#rows.at;
  }

  add(key: PinKey, row: PinRow): void {
    const dots = this.#dot;
    dots.at = 0;
    dots.bytesField(PIN_KEY, key);
    for (const dot of row) this.#addDot(dots, dot);
    this.#rows.bytesField(ROW, dots.bytes.subarray(0, dots.at));
  }

  /** The rows so far, and the local numbers that joined the tables with them. */
  take(): { rows: Uint8Array; rids: number[]; peers: number[] } {
    return { rows: this.#rows.take(), rids: this.#rids.takeFresh(), peers: this.#peers.takeFresh() };
  }

  #addDot(out: Writer, dot: LiveDot): void {
    const rid = this.#rids.position(dot.replica);
    const placementRid = this.#rids.position(dot.placementReplica);
    const allocations = this.#allocations;
    allocations.at = 0;
    allocations.ensure(dot.allocations.length * 5);
    for (let i = 0; i < dot.allocations.length; i++) {
      allocations.varint(this.#peers.position(dot.allocations[i] as number));
    }
    const size =
      numberSize(rid) +
      numberSize(dot.sequence) +
      numberSize(dot.stamp) +
      (dot.value.length > 0 ? 1 + varintSize(dot.value.length) + dot.value.length : 0) +
      numberSize(dot.placementStamp) +
      numberSize(placementRid) +
      (allocations.at > 0 ? 1 + varintSize(allocations.at) + allocations.at : 0);
    out.ensure(11);
    out.bytes[out.at++] = DOT;
    out.varint(size);
    out.varintField(RID, rid);
    out.varintField(SEQUENCE, dot.sequence);
    out.varintField(STAMP, dot.stamp);
    if (dot.value.length > 0) out.bytesField(VALUE, dot.value);
    out.varintField(PLACEMENT_STAMP, dot.placementStamp);
    out.varintField(PLACEMENT_RID, placementRid);
    if (allocations.at > 0) out.bytesField(ALLOCATIONS, allocations.bytes.subarray(0, allocations.at));
  }
}

function numberSize(n: number): number {
  return n === 0 ? 0 : 1 + varintSize(n);
}

export type RangeRow = HashedRow;

/** Reads the rows of one message; `replicas` and `peers` map the answer's tables to local numbers. Throws Malformed. */
export function readRangeRows(bytes: Uint8Array, replicas: readonly number[], peers: readonly number[]): RangeRow[] {
  const rows: RangeRow[] = [];
  const reader = new Reader(bytes);
  while (reader.more) {
    if (reader.varint() !== ROW) throw new Malformed('an unknown field of a list of rows');
    rows.push(readRow(reader.message(), replicas, peers));
  }
  return rows;
}

function readRow(reader: Reader, replicas: readonly number[], peers: readonly number[]): RangeRow {
  let key = none;
  const row: LiveDot[] = [];
  while (reader.more) {
    const tag = reader.varint();
    if (tag === PIN_KEY) key = reader.view();
    else if (tag === DOT) row.push(readDot(reader.message(), replicas, peers));
    else throw new Malformed('an unknown field of a row');
  }
  if (key.length < 11 || row.length === 0) throw new Malformed('a row without key or dots');
  // Rows are ordered by local numbers, which differ from peer to peer.
  return { key, row: row.length > 1 ? row.sort(byDot) : row };
}

function readDot(reader: Reader, replicas: readonly number[], peers: readonly number[]): LiveDot {
  let rid = 0;
  let placementRid = 0;
  let sequence = 0;
  let stamp = 0;
  let placementStamp = 0;
  let value = none;
  const allocations: number[] = [];
  while (reader.more) {
    const tag = reader.varint();
    if (tag === RID) rid = reader.varint();
    else if (tag === SEQUENCE) sequence = reader.varint();
    else if (tag === STAMP) stamp = reader.varint();
    else if (tag === VALUE) value = reader.view();
    else if (tag === PLACEMENT_STAMP) placementStamp = reader.varint();
    else if (tag === PLACEMENT_RID) placementRid = reader.varint();
    else if (tag === ALLOCATIONS) readAllocations(reader.message(), peers, allocations);
    else throw new Malformed('an unknown field of a dot');
  }
  if (value.length > pinLimits.valueBytesMax) throw new Malformed('a value over the limit');
  if (sequence < 1 || stamp < 1 || placementStamp < 1) throw new Malformed('a dot without sequence or stamp');
  const replica = numberOf(replicas, rid);
  const placementReplica = numberOf(replicas, placementRid);
  return { replica, sequence, stamp, value, placementStamp, placementReplica, allocations };
}

function readAllocations(reader: Reader, peers: readonly number[], into: number[]): void {
  while (reader.more) into.push(numberOf(peers, reader.varint()));
}

function numberOf(table: readonly number[], position: number): number {
  const number = table[position];
  if (number === undefined) throw new Malformed('a position outside its table');
  return number;
}

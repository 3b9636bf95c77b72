import { hash } from 'node:crypto';
import { Malformed, Reader } from '../../../pinset/codec/reader.ts';
import { Writer } from '../../../pinset/codec/writer.ts';
import { CLOCK_ENTRIES_MAX, HEADER_BYTES_MAX } from '../constants.ts';
import { InvalidBatch } from '../core/invalid-batch.ts';
import type { BatchHeader, IncEntry } from '../core/types.ts';

// pinfold.peer.v1.BatchHeader by hand. Tags: field number x 8 + wire type.
const LEVEL = 0x08;
const AUTHOR = 0x12;
const INCARNATION = 0x19;
const FIRST = 0x20;
const LAST = 0x28;
const PREV = 0x32;
const INC = 0x3a;
const OPS_HASH = 0x42;
const OPS_BYTES = 0x48;
const ENTRY_RID = 0x0a;
const ENTRY_SEQUENCE = 0x10;

export const RID_BYTES = 16;
export const HASH_BYTES = 32;
const incarnationBytes = 8;

const writer = new Writer(1024);

/** First 16 bytes of SHA-256(public key, incarnation). */
export function ridOf(publicKey: Uint8Array, incarnation: Uint8Array): Uint8Array {
  return hash('sha256', Buffer.concat([publicKey, incarnation]), 'buffer').subarray(0, RID_BYTES);
}

export function encodeHeader(header: BatchHeader): Uint8Array {
  writer.at = 0;
  writer.varintField(LEVEL, header.level);
  writer.bytesField(AUTHOR, header.author);
  writeFixed64(INCARNATION, header.incarnation);
  writer.varintField(FIRST, header.first);
  writer.varintField(LAST, header.last);
  if (header.prev.length > 0) writer.bytesField(PREV, header.prev);
  for (const entry of header.inc) writeEntry(entry);
  writer.bytesField(OPS_HASH, header.opsHash);
  writer.varintField(OPS_BYTES, header.opsBytes);
  return writer.take();
}

function writeEntry({ rid, sequence }: IncEntry): void {
  writer.ensure(RID_BYTES + 20);
  const lengthAt = writer.at + 1;
  writer.bytes[writer.at] = INC;
  writer.at += 2;
  writer.bytesField(ENTRY_RID, rid);
  writer.varintField(ENTRY_SEQUENCE, sequence);
  // An entry has at most 27 bytes, so its length takes one.
  writer.bytes[lengthAt] = writer.at - lengthAt - 1;
}

/** Fixed numbers travel with the lowest byte first; inside, incarnations are big-endian, as the rid hashes them. */
function writeFixed64(tag: number, bigEndian: Uint8Array): void {
  if (bigEndian.every((byte) => byte === 0)) return;
  writer.ensure(incarnationBytes + 1);
  writer.bytes[writer.at++] = tag;
  for (let i = incarnationBytes - 1; i >= 0; i--) writer.bytes[writer.at++] = bigEndian[i] as number;
}

/** Throws InvalidBatch. */
export function decodeHeader(bytes: Uint8Array): BatchHeader {
  if (bytes.length > HEADER_BYTES_MAX) throw new InvalidBatch('limit', `a header of ${bytes.length} bytes`);
  try {
    return readHeader(new Reader(bytes));
  } catch (cause) {
    if (cause instanceof Malformed) throw new InvalidBatch('malformed', `header: ${cause.message}`);
    throw cause;
  }
}

function readHeader(reader: Reader): BatchHeader {
  const inc: IncEntry[] = [];
  const header: BatchHeader = { ...emptyHeader, inc };
  while (reader.more) {
    const tag = reader.varint();
    if (tag === LEVEL) header.level = reader.uint32();
    else if (tag === AUTHOR) header.author = reader.view();
    else if (tag === INCARNATION) header.incarnation = readFixed64(reader);
    else if (tag === FIRST) header.first = reader.varint();
    else if (tag === LAST) header.last = reader.varint();
    else if (tag === PREV) header.prev = reader.view();
    else if (tag === INC) inc.push(readEntry(reader.message()));
    else if (tag === OPS_HASH) header.opsHash = reader.view();
    else if (tag === OPS_BYTES) header.opsBytes = reader.varint();
    else throw new Malformed(`unknown field ${tag >>> 3}`);
    if (inc.length > CLOCK_ENTRIES_MAX)
      throw new InvalidBatch('limit', `inc has more than ${CLOCK_ENTRIES_MAX} entries`);
  }
  return header;
}

const none = new Uint8Array(0);
const emptyHeader: BatchHeader = {
  level: 0,
  author: none,
  incarnation: new Uint8Array(incarnationBytes),
  first: 0,
  last: 0,
  prev: none,
  inc: [],
  opsHash: none,
  opsBytes: 0,
};

function readEntry(reader: Reader): IncEntry {
  const entry: IncEntry = { rid: none, sequence: 0 };
  while (reader.more) {
    const tag = reader.varint();
    if (tag === ENTRY_RID) entry.rid = reader.view();
    else if (tag === ENTRY_SEQUENCE) entry.sequence = reader.varint();
    else throw new Malformed(`unknown field ${tag >>> 3} of a clock entry`);
  }
  if (entry.rid.length !== RID_BYTES) throw new Malformed('a rid of a wrong length');
  return entry;
}

function readFixed64(reader: Reader): Uint8Array {
  if (reader.end - reader.at < incarnationBytes) throw new Malformed('cut short');
  const bigEndian = reader.bytes.subarray(reader.at, reader.at + incarnationBytes).toReversed();
  reader.at += incarnationBytes;
  return bigEndian;
}

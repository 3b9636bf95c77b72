import { PinfoldError } from '../../../model/errors.ts';
import { Malformed, Reader } from '../../../pinset/codec/reader.ts';
import { Writer } from '../../../pinset/codec/writer.ts';
import { RID_BYTES } from '../codec/header.ts';
import { CLOCK_ENTRIES_MAX } from '../constants.ts';
import type { IncEntry } from './types.ts';

/** First byte: what it is, and the version of its form. A write is the clock of one entry that is its dot. */
const CLOCK_V1 = 1;
/** The same with what the entries are of. */
const HEADS_V1 = 2;
/** Of the hash of a batch. */
const HEAD_BYTES = 8;

const writer = new Writer(1024);

/** A clock entry, and the first bytes of the hash of the batch that it ends with: two histories of an author (N4) differ in them. */
export interface Head extends IncEntry {
  hash: Uint8Array;
}

const noHash = new Uint8Array(0);

/** A clock as a position: the version, then rid (16 bytes) and sequence (varint) of each entry. */
export function encodePosition(entries: Iterable<IncEntry>): Uint8Array {
  begin(CLOCK_V1);
  for (const entry of entries) put(entry, noHash);
  return writer.take();
}

/** The same, each entry with the first 8 bytes of its hash. */
export function encodeHeads(heads: Iterable<Head>): Uint8Array {
  begin(HEADS_V1);
  for (const head of heads) put(head, head.hash.subarray(0, HEAD_BYTES));
  return writer.take();
}

function begin(form: number): void {
  writer.at = 0;
  writer.bytes[writer.at++] = form;
}

function put({ rid, sequence }: IncEntry, hash: Uint8Array): void {
  writer.ensure(RID_BYTES + 10 + hash.length);
  writer.bytes.set(rid, writer.at);
  writer.at += RID_BYTES;
  writer.varint(sequence);
  writer.bytes.set(hash, writer.at);
  writer.at += hash.length;
}

/** Throws INVALID_TOKEN. Of a position without hashes they are empty. */
export function decodePosition(position: Uint8Array): Head[] {
  const [form] = position;
  if (form !== CLOCK_V1 && form !== HEADS_V1)
    throw new PinfoldError('INVALID_TOKEN', 'not a position of this kind of consensus');
  try {
    return readEntries(new Reader(position, 1), form === HEADS_V1 ? HEAD_BYTES : 0);
  } catch (cause) {
    if (!(cause instanceof Malformed)) throw cause;
    throw new PinfoldError('INVALID_TOKEN', `a damaged position: ${cause.message}`);
  }
}

function readEntries(reader: Reader, headBytes: number): Head[] {
  const entries: Head[] = [];
  while (reader.more) {
    if (reader.end - reader.at < RID_BYTES) throw new Malformed('cut short');
    const rid = reader.bytes.subarray(reader.at, reader.at + RID_BYTES);
    reader.at += RID_BYTES;
    const sequence = reader.varint();
    if (reader.end - reader.at < headBytes) throw new Malformed('cut short');
    const hash = reader.bytes.subarray(reader.at, reader.at + headBytes);
    reader.at += headBytes;
    entries.push({ rid, sequence, hash });
    if (entries.length > CLOCK_ENTRIES_MAX) throw new Malformed('too long');
  }
  return entries;
}

import { PinfoldError } from '../../../model/errors.ts';
import { Malformed, Reader } from '../../../pinset/codec/reader.ts';
import { Writer } from '../../../pinset/codec/writer.ts';
import { RID_BYTES } from '../codec/header.ts';
import { CLOCK_ENTRIES_MAX } from '../constants.ts';
import type { IncEntry } from './types.ts';

/** First byte: what it is, and the version of its form. A write is the clock of one entry that is its dot. */
const CLOCK_V1 = 1;

const writer = new Writer(1024);

/** A clock as a position: the version, then rid (16 bytes) and sequence (varint) of each entry. */
export function encodePosition(entries: Iterable<IncEntry>): Uint8Array {
  writer.at = 0;
  writer.bytes[writer.at++] = CLOCK_V1;
  for (const { rid, sequence } of entries) {
    writer.ensure(RID_BYTES + 10);
    writer.bytes.set(rid, writer.at);
    writer.at += RID_BYTES;
    writer.varint(sequence);
  }
  return writer.take();
}

/** Throws INVALID_TOKEN. */
export function decodePosition(position: Uint8Array): IncEntry[] {
  if (position[0] !== CLOCK_V1) throw new PinfoldError('INVALID_TOKEN', 'not a position of this kind of consensus');
  try {
    return readEntries(new Reader(position, 1));
  } catch (cause) {
    if (!(cause instanceof Malformed)) throw cause;
    throw new PinfoldError('INVALID_TOKEN', `a damaged position: ${cause.message}`);
  }
}

function readEntries(reader: Reader): IncEntry[] {
  const entries: IncEntry[] = [];
  while (reader.more) {
    if (reader.end - reader.at < RID_BYTES) throw new Malformed('cut short');
    const rid = reader.bytes.subarray(reader.at, reader.at + RID_BYTES);
    reader.at += RID_BYTES;
    entries.push({ rid, sequence: reader.varint() });
    if (entries.length > CLOCK_ENTRIES_MAX) throw new Malformed('too long');
  }
  return entries;
}

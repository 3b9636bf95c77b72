import { PinfoldError } from '../../../model/errors.ts';
import { Malformed, Reader } from '../../../pinset/codec/reader.ts';
import { Writer } from '../../../pinset/codec/writer.ts';
import type { ReplicaName } from '../state/replicas.ts';
import type { ShadowEntry } from './shadow-clock.ts';

/** 1: entries alone, of an empty peer that joined. */
const FORMAT_OF_JOINS = 1;
const FORMAT = 2;
const BEGUN = 1;
const JOIN = 2;
const EVERYTHING = 4;

/** The row of the table `crdt_shadow`, beside which the shadow's tables stand. */
export interface ShadowRow {
  /** The store was empty: no writes are taken until the swap. */
  isJoin: boolean;
  /** A range has come: the clocks say something. */
  isBegun: boolean;
  /** Revision of the own state that the first range was merged with. */
  sinceRevision: number;
  /** The feed row of the swap names no keys. */
  isEverything: boolean;
  /** Keys listed for it, and in how many rows. */
  keysListed: number;
  keyRows: number;
  entries: readonly StoredEntry[];
}

export type StoredEntry = Pick<ShadowEntry, 'sequence' | 'hash' | 'base' | 'goal'> & { replica: ReplicaName };

const writer = new Writer(4 * 1024);

export function encodeShadowRow(row: ShadowRow): Uint8Array {
  writer.at = 0;
  writer.bytes[writer.at++] = FORMAT;
  const { isBegun, isJoin, isEverything } = row;
  writer.varint((isBegun ? BEGUN : 0) + (isJoin ? JOIN : 0) + (isEverything ? EVERYTHING : 0));
  writer.varint(row.sinceRevision);
  writer.varint(row.keysListed);
  writer.varint(row.keyRows);
  for (const { replica, sequence, hash, base, goal } of row.entries) {
    writer.ensure(200);
    for (const bytes of [replica.rid, replica.author, replica.incarnation, hash]) writeShort(bytes);
    writer.varint(sequence);
    writer.varint(base);
    writer.varint(goal);
  }
  return writer.take();
}

/** Throws DATA_CORRUPT. */
export function decodeShadowRow(bytes: Uint8Array): ShadowRow {
  try {
    return read(new Reader(bytes, 1), bytes[0]);
  } catch (cause) {
    if (!(cause instanceof Malformed)) throw cause;
    throw new PinfoldError('DATA_CORRUPT', 'the row of the shadow is damaged', { cause });
  }
}

function read(reader: Reader, format: number | undefined): ShadowRow {
  if (format === FORMAT_OF_JOINS) {
    const join = { isJoin: true, isBegun: true, isEverything: true, sinceRevision: 0, keysListed: 0, keyRows: 0 };
    return { ...join, entries: readEntries(reader) };
  }
  if (format !== FORMAT) throw new Malformed(`format ${format}`);
  const flags = reader.varint();
  const [sinceRevision, keysListed, keyRows] = [reader.varint(), reader.varint(), reader.varint()];
  return {
    isBegun: (flags & BEGUN) !== 0,
    isJoin: (flags & JOIN) !== 0,
    isEverything: (flags & EVERYTHING) !== 0,
    ...{ sinceRevision, keysListed, keyRows },
    entries: readEntries(reader),
  };
}

function readEntries(reader: Reader): StoredEntry[] {
  const entries: StoredEntry[] = [];
  while (reader.more) {
    const replica = { rid: reader.view(), author: reader.view(), incarnation: reader.view() };
    const hash = reader.view();
    const [sequence, base, goal] = [reader.varint(), reader.varint(), reader.varint()];
    entries.push({ replica, sequence, hash, base, goal });
  }
  return entries;
}

function writeShort(bytes: Uint8Array): void {
  writer.varint(bytes.length);
  writer.bytes.set(bytes, writer.at);
  writer.at += bytes.length;
}

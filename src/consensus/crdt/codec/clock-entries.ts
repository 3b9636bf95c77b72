import { create } from '@bufbuild/protobuf';
import { type ClockEntry, ClockEntrySchema } from '../../../../gen/pinfold/peer/v1/batch_pb.ts';
import { byteString } from '../../../model/bytes.ts';
import { PinfoldError } from '../../../model/errors.ts';
import { CLOCK_ENTRIES_MAX } from '../constants.ts';
import type { Replica } from '../state/replicas.ts';
import { RID_BYTES } from './header.ts';

/** A clock as another peer told it. */
export interface HeardEntry {
  rid: Uint8Array;
  sequence: number;
  /** First 8 bytes of H; may be empty. */
  hashPrefix: Uint8Array;
}

const prefixBytes = 8;

/** The flushed clock, as it may leave this peer (F1). */
export function flushedClock(replicas: readonly Replica[]): ClockEntry[] {
  const entries: ClockEntry[] = [];
  for (const { rid, flushedSequence, flushedHash } of replicas) {
    if (flushedSequence > 0) entries.push(clockEntry(rid, flushedSequence, flushedHash));
  }
  return entries;
}

export function clockEntry(rid: Uint8Array, sequence: number, hash: Uint8Array): ClockEntry {
  return create(ClockEntrySchema, { rid, sequence: BigInt(sequence), hashPrefix: hash.subarray(0, prefixBytes) });
}

/** Throws INVALID_ARGUMENT. */
export function readClock(entries: readonly ClockEntry[]): HeardEntry[] {
  if (entries.length > CLOCK_ENTRIES_MAX) throw invalid(`${entries.length} clock entries`);
  return entries.map(({ rid, sequence, hashPrefix }) => {
    if (rid.length !== RID_BYTES) throw invalid('a rid of a wrong length');
    return { rid, sequence: safeNumber(sequence), hashPrefix };
  });
}

/** By rid as text. */
export function clockMap(clock: readonly HeardEntry[]): Map<string, number> {
  return new Map(clock.map(({ rid, sequence }) => [byteString(rid), sequence]));
}

/** Throws INVALID_ARGUMENT. */
export function safeNumber(n: bigint): number {
  if (n > BigInt(Number.MAX_SAFE_INTEGER)) throw invalid('a number of 2^53 or more');
  return Number(n);
}

function invalid(problem: string): PinfoldError {
  return new PinfoldError('INVALID_ARGUMENT', `clock: ${problem}`);
}

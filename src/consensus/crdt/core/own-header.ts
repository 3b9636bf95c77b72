import { hash } from 'node:crypto';
import { PROTOCOL_LEVEL } from '../constants.ts';
import type { BatchHeader, IncEntry } from './types.ts';

/** The own replica before its next batch: C[own] and H[own]. */
export interface OwnReplica {
  readonly incarnation: Uint8Array;
  readonly sequence: number;
  readonly hash: Uint8Array;
}

/** C2: the header of the own batch that ends with `last`. */
export function ownHeader(
  author: Uint8Array,
  own: OwnReplica,
  { last, ops, inc }: { last: number; ops: Uint8Array; inc: readonly IncEntry[] },
): BatchHeader {
  return {
    level: PROTOCOL_LEVEL,
    author,
    incarnation: own.incarnation,
    first: own.sequence + 1,
    last,
    prev: own.hash,
    inc,
    opsHash: hash('sha256', ops, 'buffer'),
    opsBytes: ops.length,
  };
}

/**
 * The entries of C that grew since the own replica's previous batch; all of them in the first (section 3). `base` says how far C
 * covered a replica at that batch, and 0 after a start, when it is not known any more.
 */
export function incSince<Entry extends { readonly rid: Uint8Array; readonly sequence: number }>(
  clock: Iterable<Entry>,
  own: Entry,
  base: (entry: Entry) => number,
): IncEntry[] {
  const entries: IncEntry[] = [];
  for (const entry of clock) {
    if (entry !== own && entry.sequence > base(entry)) entries.push({ rid: entry.rid, sequence: entry.sequence });
  }
  return entries;
}

import { equalBytes } from '../../../model/bytes.ts';

/** One batch of a replica, as its signed header says. */
export interface Link {
  readonly first: number;
  readonly last: number;
  /** Hash of the batch before it; empty for the first. */
  readonly prev: Uint8Array;
  readonly hash: Uint8Array;
}

/** What the own log holds of a replica. */
export interface Branch {
  /** The batch that ends exactly there. */
  endingAt(sequence: number): Link | undefined;
  /** The batch that `sequence` is the first, or another, operation of. */
  containing(sequence: number): Link | undefined;
}

/** Where two branches part: both hold all up to `common`, and the other goes on with the batch of that hash. */
export interface ForkPoint {
  readonly common: number;
  /** H of the common point; empty for 0. */
  readonly commonHash: Uint8Array;
  readonly winner: Uint8Array;
}

/** N4: two headers of one replica that cannot both be of one history. Both must be signed by its author. */
export function isForkProof(one: Link, other: Link): boolean {
  const [a, b] = one.first <= other.first ? [one, other] : [other, one];
  if (b.first <= a.last) return !equalBytes(a.hash, b.hash);
  return b.first === a.last + 1 && !equalBytes(b.prev, a.hash);
}

/**
 * N4: where the own branch and another part, told by one header of the other.
 *
 *   ForkPoint  both share all before this batch, and here they part
 *   earlier    they part before it: an earlier header tells
 *   same       this batch is shared, or the own branch ends before it: no fork here
 */
export function forkPoint(own: Branch, theirs: Link): ForkPoint | 'earlier' | 'same' {
  const common = theirs.first - 1;
  const after = own.containing(theirs.first);
  if (after !== undefined && equalBytes(after.hash, theirs.hash)) return 'same';
  const before = common === 0 ? undefined : own.endingAt(common);
  const isShared = common === 0 || (before !== undefined && equalBytes(before.hash, theirs.prev));
  if (!isShared) return 'earlier';
  if (after === undefined) return 'same';
  return { common, commonHash: before?.hash ?? new Uint8Array(0), winner: theirs.hash };
}

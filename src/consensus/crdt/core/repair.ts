import type { LiveDot, Mending, Names, PinRow } from '../../../pinset/pinset.ts';
import { rowHash, rowHashString } from '../../../pinset/row-hash.ts';
import { type BucketState, isSound } from '../../../pinset/scrub/scrub.ts';
import { addSums, differenceOf, sumOf } from '../../../pinset/scrub/sum.ts';
import { broughtOn, type DottedOperation } from './bring-on.ts';
import type { Covered } from './merge.ts';
import { byDot, isGreaterPlacement, withPlacement } from './rows.ts';

/** One bucket of another peer, its rows in local numbers. */
export type TheirBucket = Pick<BucketState, 'rows' | 'sum' | 'digest'> & { unreadable: number };

/**
 * What is to be done with one's own rows of a bucket:
 *
 *   none      they are the other's, and the digest is theirs
 *   digest    they are the other's; the digest is not theirs
 *   restore   they are not what the own digest says, and the other's are: a disk lost or changed them
 *   keep      the other way round: it is the other who must restore
 *   unite     nothing proves which are right
 *   rescue    the two clocks differ in this bucket: what cannot be read becomes theirs, with what they lack done to it; batches bring the rest
 */
export type Remedy = 'none' | 'digest' | 'restore' | 'keep' | 'unite' | 'rescue';

export interface BucketRepair extends Pick<Mending, 'changes' | 'unreadable'> {
  readonly remedy: Remedy;
  /** To the digest, mod 2^128. */
  readonly correction: bigint;
  /** Keys with a row on one side only, and with two rows. */
  readonly onlyHere: number;
  readonly onlyThere: number;
  readonly differing: number;
}

export interface RepairRules {
  names: Names;
  /** C: no live dot lies beyond it (I1). */
  covered: Covered;
  /** One of the two has taken in operations on this bucket that the other has not. */
  isApart: boolean;
  /** Those of a key that this peer has and the other has not, as far as the log has them. */
  since(key: Uint8Array): readonly DottedOperation[];
  /** The log has all of them: a row that they leave empty is empty. */
  isSinceWhole: boolean;
}

/**
 * Section 8, repair. Pure: the same two buckets always end in the same rows. Of two peers that unite in any order, each with each, all
 * end with the same: the union, of one dot with two values the greater, of two placements the greater.
 */
export function repairOf(mine: BucketState, theirs: TheirBucket, rules: RepairRules): BucketRepair {
  const remedy = remedyOf(mine, theirs, rules.isApart);
  const pairs = pairsOf(mine, theirs);
  const after = (pair: Pair) => rowAfter(remedy, pair, rules);
  const changes = pairs
    .filter(({ isUnreadable }) => !isUnreadable)
    .map((pair) => ({ key: pair.key, before: pair.mine, after: after(pair) }))
    .filter(({ key, before, after: row }) => !isSame(rules.names, key, before, row));
  const isKnownGone = remedy === 'restore' || (remedy === 'rescue' && isWhole(theirs) && rules.isSinceWhole);
  const unreadable = pairs
    .filter(({ isUnreadable }) => isUnreadable)
    .map((pair) => ({ key: pair.key, after: after(pair) }))
    // What nobody has stays, for an operator to give up, unless it is known to be gone.
    .filter(({ after: row }) => row.length > 0 || isKnownGone);
  return {
    remedy,
    changes,
    unreadable,
    correction: correctionOf(remedy, mine, unreadable, rules.names),
    onlyHere: pairs.filter((pair) => pair.theirs.length === 0).length,
    onlyThere: pairs.filter((pair) => pair.mine.length === 0 && !pair.isUnreadable).length,
    differing: pairs.filter((pair) => isDiffering(rules.names, pair)).length,
  };
}

function remedyOf(mine: BucketState, theirs: TheirBucket, isApart: boolean): Remedy {
  const isMineSound = isSound(mine);
  const isTheirsSound = isWhole(theirs);
  if (isApart) return mine.unreadable.length > 0 ? 'rescue' : 'none';
  if (mine.sum === theirs.sum && mine.unreadable.length === 0 && theirs.unreadable === 0)
    return isMineSound ? 'none' : 'digest';
  if (!isMineSound && isTheirsSound && theirs.sum === mine.digest) return 'restore';
  if (isMineSound && !isTheirsSound && mine.sum === theirs.digest) return 'keep';
  return 'unite';
}

function isWhole({ sum, digest, unreadable }: TheirBucket): boolean {
  return sum === digest && unreadable === 0;
}

/** A rescue leaves the digest as it is: what else is wrong in that bucket must still be found when it can be compared. */
function correctionOf(
  remedy: Remedy,
  { sum, digest }: BucketState,
  unreadable: Mending['unreadable'],
  names: Names,
): bigint {
  if (remedy !== 'rescue') return differenceOf(sum, digest);
  const written = unreadable
    .filter(({ after }) => after.length > 0)
    .map(({ key, after }) => rowHash(names, key, after));
  return differenceOf(0n, written.map(sumOf).reduce(addSums, 0n));
}

interface Pair {
  readonly key: Uint8Array;
  readonly mine: PinRow;
  readonly theirs: PinRow;
  readonly isUnreadable: boolean;
}

const noRow: PinRow = [];

function pairsOf(mine: BucketState, theirs: TheirBucket): Pair[] {
  const pairs = new Map<string, Pair>();
  const textOf = (key: Uint8Array) => Buffer.from(key).toString('latin1');
  for (const { key, row } of mine.rows) pairs.set(textOf(key), { key, mine: row, theirs: noRow, isUnreadable: false });
  for (const { key } of mine.unreadable)
    pairs.set(textOf(key), { key, mine: noRow, theirs: noRow, isUnreadable: true });
  for (const { key, row } of theirs.rows) {
    const known = pairs.get(textOf(key)) ?? { key, mine: noRow, theirs: noRow, isUnreadable: false };
    pairs.set(textOf(key), { ...known, theirs: row });
  }
  return [...pairs.values()];
}

function rowAfter(remedy: Remedy, { key, mine, theirs, isUnreadable }: Pair, rules: RepairRules): PinRow {
  const { names, covered, since } = rules;
  // I1: what lies beyond C is damage.
  const coveredDots = (row: PinRow) => row.filter(({ replica, sequence }) => sequence <= covered(replica));
  const theirDots = () => coveredDots(theirs);
  if (remedy === 'restore') return theirDots();
  if (remedy === 'unite') return united(names, key, coveredDots(mine), theirDots());
  if (remedy === 'rescue' && isUnreadable) return coveredDots(broughtOn(theirs, since(key), names.replicas));
  return mine;
}

/** The union of live dots, in the order of a row. */
function united(names: Names, key: Uint8Array, mine: PinRow, theirs: PinRow): PinRow {
  const dots = mine.map((dot) => {
    const other = theirs.find(({ replica, sequence }) => replica === dot.replica && sequence === dot.sequence);
    return other === undefined ? dot : greater(names, key, dot, other);
  });
  const more = theirs.filter(
    ({ replica, sequence }) => !mine.some((dot) => dot.replica === replica && dot.sequence === sequence),
  );
  return more.length === 0 ? dots : [...dots, ...more].sort(byDot);
}

/** One dot twice: the value of which a row alone has the greater hash, and, by itself, the greater placement. */
function greater(names: Names, key: Uint8Array, a: LiveDot, b: LiveDot): LiveDot {
  const value = valueHash(names, key, a) >= valueHash(names, key, b) ? a : b;
  return withPlacement(value, isGreaterRegister(names, key, b, a) ? b : a);
}

function valueHash(names: Names, key: Uint8Array, { replica, sequence, stamp, value }: LiveDot): string {
  const own = { placementStamp: stamp, placementReplica: replica, allocations: [] };
  return rowHashString(names, key, [{ replica, sequence, stamp, value, ...own }]);
}

/** Two placements with one stamp and author differ by damage only: then the hash decides. */
function isGreaterRegister(names: Names, key: Uint8Array, a: LiveDot, b: LiveDot): boolean {
  if (a.placementStamp !== b.placementStamp || a.placementReplica !== b.placementReplica)
    return isGreaterPlacement(a, b, names.replicas);
  const hashOf = ({ replica, sequence, placementStamp, placementReplica, allocations }: LiveDot) =>
    rowHashString(names, key, [
      { replica, sequence, stamp: 0, value: new Uint8Array(0), placementStamp, placementReplica, allocations },
    ]);
  return hashOf(a) > hashOf(b);
}

function isSame(names: Names, key: Uint8Array, a: PinRow, b: PinRow): boolean {
  if (a === b) return true;
  if (a.length === 0 || b.length === 0) return a.length === b.length;
  return rowHashString(names, key, a) === rowHashString(names, key, b);
}

function isDiffering(names: Names, { key, mine, theirs, isUnreadable }: Pair): boolean {
  if (theirs.length === 0) return false;
  return isUnreadable || (mine.length > 0 && !isSame(names, key, mine, theirs));
}

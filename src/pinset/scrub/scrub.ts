import type { PinKey } from '../../model/pin.ts';
import type { PinRow, PinsetSnapshot } from '../pinset.ts';

/**
 * Re-reads the rows of the live set against its digest and its indexes (docs/protocol.md section 8): what a disk changed
 * by itself is found by nothing else. In the background a few buckets a minute; all of them when it is asked for.
 */
export interface Scrub {
  /** What was found wrong and not found mended since, by bucket. At most SCRUB_FINDINGS_MAX; `more` counts the buckets beyond. */
  findings(): { findings: readonly Finding[]; more: number };

  /** Calls back whenever the findings change. Returns the unsubscriber. */
  onFindings(listener: () => void): () => void;

  /**
   * Reads everything, at most so fast as the configuration says; a step for each piece. One at a time: LIMIT_REACHED.
   * Rejects with the signal's reason.
   */
  run(options: { signal: AbortSignal }): AsyncGenerator<ScrubProgress>;

  /** Reads these buckets again. */
  check(buckets: readonly number[]): Promise<void>;

  /** One bucket in a snapshot. */
  read(snapshot: PinsetSnapshot, bucket: number): BucketState;

  /**
   * Buckets of a snapshot from `from` on, one after the other, until `rowsMax` rows were read or `to` is reached; one at least. Lazy; must be
   * finished or closed before the next await.
   */
  states(snapshot: PinsetSnapshot, range: { from: number; to: number; rowsMax: number }): Iterable<BucketState>;

  /**
   * Puts index entries that are missing, where findings name them. Removes those of no pin if findings name some, or with `orphans`, because
   * a row that could not be read was replaced: a walk through all entries.
   */
  mendIndexes(options: { orphans?: boolean; signal: AbortSignal }): Promise<{ added: number; removed: number }>;
}

export interface Finding {
  readonly bucket: number;
  /**
   *   row     rows that cannot be read
   *   sum     the rows do not add up to the digest: one was lost or changed
   *   index   rows that lack an entry in an index
   *   orphan  index entries of no pin
   */
  readonly kind: 'row' | 'sum' | 'index' | 'orphan';
  readonly count: number;
  /** The first of them, for people. */
  readonly example: string;
}

/** What a repair of rows puts right; indexes follow from rows. */
export function isRowDamage({ kind }: Finding): boolean {
  return kind === 'row' || kind === 'sum';
}

export interface ScrubProgress {
  /** Buckets read of 65,536, then index entries of all there are. */
  readonly phase: 'rows' | 'indexes';
  readonly done: number;
  readonly of: number;
  readonly rows: number;
  /** Buckets with a finding. */
  readonly damaged: number;
}

/** Buckets with such damage, each once. */
export function rowDamagedBuckets(findings: readonly Finding[]): Set<number> {
  return new Set(findings.filter(isRowDamage).map(({ bucket }) => bucket));
}

/** Whether the rows are what the digest says: nothing was lost or changed by the disk. */
export function isSound({ unreadable, sum, digest }: BucketState): boolean {
  return unreadable.length === 0 && sum === digest;
}

/** What one bucket holds, and what the digest says that it holds. */
export interface BucketState {
  readonly bucket: number;
  readonly rows: readonly { key: PinKey; row: PinRow }[];
  readonly unreadable: readonly { key: PinKey; problem: string }[];
  /** Of `rows`, and of the digest: 128 bits. */
  readonly sum: bigint;
  readonly digest: bigint;
}

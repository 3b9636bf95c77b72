/**
 * Finding out where the rows of two peers differ that should be equal, and making them so: an operator's act (docs/protocol.md
 * section 8). It may bring back what was removed; it loses nothing that can be read.
 */
export interface Repair {
  /**
   * Compares with every peer that state is taken from and that is reached, and tells how they differ. With `apply` it also writes: rows
   * here, and, through them, rows there. One at a time: LIMIT_REACHED. A peer that fails is an event; rejects with the signal's
   * reason, JOINING, or STORAGE_FAILED.
   */
  run(options: { apply: boolean; signal: AbortSignal }): AsyncGenerator<RepairEvent>;
}

export type RepairEvent =
  | RepairPeer
  /** At most 1,000; the result counts those beyond. */
  | RepairBucket
  | RepairResult;

export interface RepairPeer {
  readonly kind: 'peer';
  readonly peerId: string;
  /** To be looked at: their digests differ, or one of the two knows of damage. */
  readonly buckets: number;
  /** Not compared: one of the two has operations there that the other has not taken in yet. */
  readonly leftOut: number | 'all';
  /** Why it could not be compared, or no further. */
  readonly error: string | undefined;
}

export interface RepairBucket {
  readonly kind: 'bucket';
  readonly peerId: string;
  readonly bucket: number;
  /** As in core/repair.ts; `left-out`: see above. */
  readonly remedy: 'none' | 'digest' | 'restore' | 'keep' | 'unite' | 'rescue' | 'left-out';
  /** Pins with a row on one side only, or with two rows. */
  readonly onlyHere: number;
  readonly onlyThere: number;
  readonly differing: number;
  /** Rows that cannot be read. */
  readonly unreadableHere: number;
  readonly unreadableThere: number;
  /** Rows written, with `apply`. */
  readonly writtenHere: number;
}

export interface RepairResult {
  readonly kind: 'result';
  /** Buckets that are not as they should be, by peer and bucket; of them so many were not told. */
  readonly buckets: number;
  readonly untold: number;
  readonly writtenHere: number;
  readonly writtenThere: number;
  /** Left alone, as they changed meanwhile: another run may do them. */
  readonly leftOut: number;
  readonly indexEntriesAdded: number;
  readonly indexEntriesRemoved: number;
  /** Buckets of this store that a scrub has found damaged and that still are. */
  readonly damaged: number;
}

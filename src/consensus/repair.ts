/**
 * Finding out where the rows of two peers differ that should be equal, and making them so: an operator's act (docs/protocol.md
 * section 8). It may bring back what was removed; it loses nothing that can be read.
 */
export interface Repair {
  /**
   * Compares with every peer that state is taken from and that is reached, and tells how they differ. With `apply` it also writes: rows
   * here, and, through them, rows there; with `acceptLoss` what none of them can put right is given up in the end. One at a time:
   * LIMIT_REACHED. A peer that fails is an event; rejects with the signal's reason, JOINING, or STORAGE_FAILED.
   */
  run(options: RepairOptions): AsyncGenerator<RepairEvent>;
}

export interface RepairOptions {
  readonly apply: boolean;
  /** With `apply`: rows that cannot be read and that nobody asked has are removed, and digests become those of the rows that can be read. */
  readonly acceptLoss?: boolean;
  readonly signal: AbortSignal;
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
  /** Undefined: it was given up, with nobody. */
  readonly peerId: string | undefined;
  readonly bucket: number;
  /** As in core/repair.ts; `left-out`: see above. */
  readonly remedy: 'none' | 'digest' | 'restore' | 'keep' | 'unite' | 'rescue' | 'left-out' | 'give-up';
  /** Pins with a row on one side only, or with two rows. */
  readonly onlyHere: number;
  readonly onlyThere: number;
  readonly differing: number;
  /** Rows that cannot be read. */
  readonly unreadableHere: number;
  readonly unreadableThere: number;
  /** Rows written, with `apply`. */
  readonly writtenHere: number;
  /** Names of the pins whose rows were given up. */
  readonly givenUp: readonly string[];
}

export interface RepairResult {
  readonly kind: 'result';
  /** Buckets that are not as they should be, by peer and bucket; of them so many were not told. */
  readonly buckets: number;
  readonly untold: number;
  readonly writtenHere: number;
  readonly writtenThere: number;
  /** Rows given up. */
  readonly givenUp: number;
  /** Left alone, as they changed meanwhile: another run may do them. */
  readonly leftOut: number;
  readonly indexEntriesAdded: number;
  readonly indexEntriesRemoved: number;
  /** Buckets of this store that a scrub has found damaged and that still are. */
  readonly damaged: number;
}

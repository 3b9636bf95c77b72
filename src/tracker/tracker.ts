import type { TrackerStatus, WishStatus } from '../model/status.ts';

/**
 * Brings this peer's IPFS node to what the pinset says, and knows how far it is (the _status index_).
 *
 * What the node must hold is a _wish_ for each CID (in version 1): the union of the claims allocated to this peer,
 * recursive if any is, origins united. Work is derived from pinset minus status index, so a crash loses none: the
 * feed is followed from a position kept on disk, and where the feed is gone the pinset is walked against the index.
 * A wish without a status row has not been tried yet: it is `pin_queued`.
 *
 * Statuses of a wish (states and what moves them):
 *   pin_queued -> pinning -> pinned | pin_error -> (retry) pinning ...
 *   any -> unpin_queued -> unpinning -> (no row) | unpin_error -> (retry) unpinning ...
 *   pinned -> unexpectedly_unpinned (the audit) -> pin_queued
 */
export interface Tracker {
  /** What this peer says of each wish, in the order given: from rows, else derived (`pin_queued`, `remote`, `unpinned`). At most 1,000. */
  statuses(cids: readonly Uint8Array[]): WishStatus[];

  /**
   * Rows with one of the indexed statuses, after `afterCid`, in the order of pin keys (8 bytes of SHA-256(CID), CID), which is
   * the same at all peers. Bounded by `limit`.
   */
  listIndexed(statuses: readonly IndexedStatus[], afterCid: Uint8Array | undefined, limit: number): WishStatus[];

  /**
   * All rows, after `afterCid`, in the order of CIDs (version 1, bytewise): what a watch begins with. Bounded by `limit`.
   */
  listAll(afterCid: Uint8Array | undefined, limit: number): WishStatus[];

  counts(): StatusCounts;

  /** Where a wish is in the work of this peer, as it is now: for people who ask why it is not done. */
  placeOf(cid: Uint8Array): WorkPlace;

  /** Puts wishes that failed (or vanished) at the front, now; all of them without `cids`. Yields what it queued, in bounded pieces. */
  recover(cids: readonly Uint8Array[] | undefined, options: { signal: AbortSignal }): AsyncIterable<WishStatus[]>;

  /** The node was away, and may have come back with less than it had: it is compared with the index now. */
  auditSoon(): void;

  readonly feed: StatusFeed;

  start(): Promise<void>;
  /** Takes no new work, aborts attempts under way (their rows stay as they were), flushes. */
  stop(): Promise<void>;
}

/** Rare statuses, kept in a second index. The others are derived or common. */
export const indexedStatuses = ['pin_error', 'unpin_error', 'pinning', 'unpinning', 'unexpectedly_unpinned'] as const;

export type IndexedStatus = (typeof indexedStatuses)[number] & TrackerStatus;

/**
 * unread: its change of the pinset was not looked at yet. flushing: until that change is on the disk. queued: in a lane. running: an
 * attempt is under way. later: until its row's `retryAtMs`. due: its time has come, and it waits for room in a lane. idle: nothing to do.
 */
export const workStages = ['unread', 'flushing', 'queued', 'running', 'later', 'due', 'idle'] as const;

export interface WorkPlace {
  stage: (typeof workStages)[number];
  /** Of what is queued or running. `front`: asked for by a person. `retry`: has failed before, or has waited. */
  lane: 'front' | 'fresh' | 'retry' | undefined;
  /** queued: what is before it in its lane. unread: changes not looked at, as far as they are counted. */
  ahead: number;
  /** Pins under way (unpins, if it is to be unpinned), and how many there may be at present. */
  underWay: number;
  underWayMax: number;
  /** The node does not answer: nothing begins until it does. */
  isNodeDown: boolean;
}

export interface StatusCounts {
  pinned: number;
  pinning: number;
  /**
   * Waits for a first or next attempt, errors left out: rows that say so, wishes in memory without a row, and changes
   * of the pinset that were not looked at yet, whatever they will turn out to be, up to 1,000,000.
   */
  queued: number;
  failed: number;
}

/** Changes of status rows, for whoever watches. Bounded like the pinset's feed. */
export interface StatusFeed {
  /** Fresh whenever the status index begins anew: revisions of another incarnation mean nothing. */
  readonly incarnation: Uint8Array;
  /** Last flushed revision. */
  readonly revision: number;
  /** Of that revision (`revisionMark`); undefined where the feed does not reach back. */
  mark(revision: number): Uint8Array | undefined;
  /** Present rows (or `unpinned`) of the wishes that changed after `revision`; 'gone' when the feed does not reach back. */
  read(revision: number, limit: number): { revision: number; rows: WishStatus[] } | 'gone';
  /** Resolves when `revision` is exceeded. Rejects with the signal's reason. */
  wait(revision: number, options: { signal: AbortSignal }): Promise<void>;
}

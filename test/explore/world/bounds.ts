/** What may happen in a world, and how often: see slices.ts. */
export interface Bounds {
  readonly peers: 2 | 3;
  /** That are written. There are always two, each with a range of its own in a rebuild. */
  readonly keys: 1 | 2;
  /** Operations in all, at most 15. */
  readonly writes: number;
  readonly unpins: boolean;
  /** Automation moves pins. */
  readonly amends: boolean;
  /** Some pins expire, and are removed for it. */
  readonly expires: boolean;
  /** Batches of two keys. */
  readonly updates: boolean;
  /** Two requests in one batch; and whether two batches in one transaction come to the same as one by one. */
  readonly groups: boolean;
  /** Every transaction is flushed at once; else flushing is a step of its own. */
  readonly isFlushedAtOnce: boolean;
  /** Crashes, each of which loses what was not flushed, and all that is in memory. */
  readonly crashes: number;
  /** Logs cut: whole, and with `cutsAnywhere` also for one author alone. */
  readonly cuts: number;
  readonly cutsAnywhere: boolean;
  /** Rebuilds begun. */
  readonly rebuilds: number;
  /** A may be put back to a backup, or to nothing. */
  readonly backups: boolean;
  /** B may be lost for ever. */
  readonly losses: boolean;
  /** Two peers acknowledge. */
  readonly acknowledges: boolean;
  /** Whether the feed names what a swap changes (I12). */
  readonly isFeedChecked: boolean;
  /** Batches that come too early are put aside, and taken when their time has come (R4); else they are lost. */
  readonly pends: boolean;
}

export const plainBounds: Bounds = {
  peers: 2,
  keys: 2,
  writes: 3,
  unpins: true,
  amends: false,
  expires: false,
  updates: false,
  groups: false,
  isFlushedAtOnce: true,
  crashes: 0,
  cuts: 0,
  cutsAnywhere: false,
  rebuilds: 0,
  backups: false,
  losses: false,
  acknowledges: false,
  isFeedChecked: false,
  pends: false,
};

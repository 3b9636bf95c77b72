/** Wishes taken from the feed and in memory, at most. Further ones wait on the disk. */
export const WINDOW_WISHES_MAX = 4096;
/** And what a walk takes of them, so that it cannot fill the window on its own. */
export const WALK_WISHES_MAX = 1024;
/** Keys looked at in one turn of the event loop. */
export const SLICE_KEYS_MAX = 256;
/** Retries that are due and wait in memory, of each lane: shared by the flows, of each of which at least so many. */
export const DUE_WISHES_MAX = 128;
export const DUE_WISHES_OF_FLOW_MIN = 8;
/** Wishes recovered and put in front of all others; more of them come first among the retries. */
export const FRONT_WISHES_MAX = 1024;
/** Wishes whose status may be asked for in one call. */
export const STATUSES_MAX = 1000;

/** Rows settled and not handed to the storage, above which no attempt begins. */
export const GROUP_ROWS_MAX = 2048;
/** How long a settled row waits for others when nothing is being flushed, and nothing else is under way. */
export const GROUP_DELAY_MS = 2;
/**
 * While more is under way, a group of rows is begun no sooner after the one before, unless it has so many rows: the node and we
 * flush to the same disk, and each flush of ours is one that a pin waits for.
 */
export const GROUP_INTERVAL_MS = 40;
export const GROUP_ROWS_ENOUGH = 256;
/** An attempt shorter than this is never shown as `pinning`, which spares most pins a write. */
export const SHOW_ATTEMPT_AFTER_MS = 100;
/** Attempts begun in one turn of the event loop. */
export const STARTS_PER_TURN = 64;

/** One attempt of so many is a retry while fresh work waits. */
export const RETRY_SHARE = 8;
/** Part of the attempts that may be retries: the rest stays free for fresh work. */
export const RETRY_PART_MAX = 0.5;
export const CONCURRENT_PINS_FLOOR = 2;
export const CONCURRENT_PINS_DECREASE = 0.7;
/** At most one decrease in this time. */
export const DECREASE_INTERVAL_MS = 5000;
/** Latencies below this are never called slow. */
export const SLOW_LATENCY_MS = 1000;

export const RETRY_JITTER = 0.2;
export const PROBE_DELAY_MIN_MS = 1000;
export const PROBE_DELAY_MAX_MS = 60_000;
export const PROBE_TIMEOUT_MS = 10_000;
/** Wall clocks jump: due times are looked at no later than this. */
export const DUE_CHECK_INTERVAL_MS = 30_000;

/** The node's words, in UTF-16 code units. */
export const ERROR_LENGTH_MAX = 512;

/** Feed rows looked at for trimming with each group: more than come, so that the feed shrinks. */
export const TRIM_ROWS_MAX = 8;
/** CIDs that one audit pass holds fingerprints of, 16 bytes each: beyond it takes several passes. */
export const AUDIT_FINGERPRINTS_MAX = 1_000_000;
/** An audit that the node broke off is made again after so long, ms, if its interval is longer. */
export const AUDIT_RETRY_MS = 600_000;

/** Rows that the audit looks at in one go: about half a millisecond, in which nobody is answered. */
export const AUDIT_SLICE = 50;

/** Keys of unread changes that one call of `counts` reads on: about 50 ms. */
export const BACKLOG_KEYS_PER_CALL = 50_000;
export const BACKLOG_KEYS_MAX = 1_000_000;

/** Wishes that are remembered as those of which something else was said than their rows say. */
export const SAID_OTHERWISE_MAX = 10_000;

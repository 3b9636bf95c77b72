/** Limits of the Kubo connector. Each with its unit, its reason and what happens at it. */

/** Longest line of a streamed answer: a pin's name and CID are far below. Above: FAILED, and the connection is cut. */
export const LINE_BYTES_MAX = 1024 * 1024;

/** An error that Kubo, or a proxy before it, puts into words. What is longer is cut. */
export const ERROR_BYTES_MAX = 64 * 1024;

/** Of an answer, what nobody has taken yet, bytes. Then no more of it is read. */
export const UNTAKEN_BYTES_MAX = 64 * 1024;

/** Until a connection stands, TLS included, ms. Then: UNREACHABLE. */
export const OPEN_TIMEOUT_MS = 5_000;

/** Until an answer begins, of commands that only look or write a little, ms. Then: UNREACHABLE. */
export const ANSWER_TIMEOUT_MS = 30_000;

/**
 * The same, of what needs the pin lock, which a collection that somebody began holds as long as it takes, ms. Whoever asks
 * has a deadline of their own; that the node hangs is told by its ID.
 */
export const LOCKED_ANSWER_TIMEOUT_MS = 600_000;

/** Between two pieces of an answer, ms; Kubo speaks every 500 ms while it pins. Then: UNREACHABLE. */
export const SILENCE_TIMEOUT_MS = 30_000;

/** The node tells at first when its marking is over, and marking reads all that is pinned, ms. Then: FAILED. */
export const COLLECTION_SILENCE_MS = 6 * 3_600_000;

/**
 * Kubo tells the progress of a pin every 500 ms. A shorter stall time-out than this would take slowness for a stall: it
 * counts as this.
 */
export const STALL_TIMEOUT_MIN_MS = 1_200;

/** Pins that begin within this, ms, share the question how many blocks the node had received before. */
export const RECEIVED_FRESH_MS = 1_000;

/** Asking it that: ms. Then it is not known. */
export const RECEIVED_TIMEOUT_MS = 2_000;

/** Pins under way in the node at once; Kubo itself has no limit, and each costs it a walk. Further ones wait. */
export const PINS_MAX = 256;

/** Other short commands at once. Further ones wait: the node, and the sockets to it, are shared. */
export const COMMANDS_MAX = 64;

/**
 * An idle connection is closed after so long, ms: less than a proxy usually waits, and more than the watch does between two
 * looks, so that one is always there, whose end tells of a restart.
 */
export const SOCKET_IDLE_MS = 15_000;

/** Blocks and bytes that go to the node in one request. */
export const PUT_BLOCKS_MAX = 128;
export const PUT_BYTES_MAX = 8 * 1024 * 1024;

/** How long it may take to see what a failed pin has left, and to take it back, ms. The audit of the tracker finds the rest. */
export const UNDO_TIMEOUT_MS = 5_000;

/** A pin that was cut off may just have been written: it is looked for once more after so long, ms. */
export const UNDO_LOOK_AGAIN_MS = 100;

/** A collection waits so long for the pins under way, as Kubo collects when none is; new ones wait meanwhile. Then: FAILED. */
export const DRAIN_TIMEOUT_MS = 60_000;

/** A command that needs the pin lock and is not answered within this, ms, says that somebody collects. */
export const LOCK_PROBE_TIMEOUT_MS = 2_000;

/** Pause between two such looks, ms. */
export const LOCK_PROBE_INTERVAL_MS = 5_000;

/** So long a pin waits for a collection that somebody else began, ms. After it, the time counts as a stall. */
export const FOREIGN_COLLECTION_MS = 3_600_000;

/** A node that was there and is gone is taken to restart for so long, ms: short commands wait for it. Then it is down. */
export const RESTART_MS = 20_000;

/** How often a node that does not answer is asked for its ID, ms. */
export const ABSENT_PROBE_MS = 500;
export const DOWN_PROBE_MS = 5_000;

/** How often a node that answers is asked who it is and how much space it has, ms. */
export const WATCH_INTERVAL_MS = 10_000;

/** So many connections that ended unasked have the node looked at within so long, ms; others are let be. */
export const UNASKED_ENDS_MAX = 4;
export const UNASKED_END_MS = 1_000;

/** Asking it: ms. */
export const WATCH_TIMEOUT_MS = 5_000;

/** A node without space is trusted again with so many free bytes on its disk: twice what makes it full. */
export const FREE_BYTES_ENOUGH = 256 * 1024 * 1024;

/** From so many blocks, or bytes, on they are imported and not put. */
export const IMPORTED_BLOCKS_MIN = 32;
export const IMPORTED_BYTES_MIN = 1024 * 1024;

/** Questions at once whether blocks are there. */
export const STATS_AT_ONCE = 8;

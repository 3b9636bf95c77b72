/** Limits of status and watch, each with its unit and what happens at it. */

/** CIDs in one question to a peer (and rows in one answer). More are asked in several. */
export const STATUSES_ASKED_MAX = 1_000;
/** Rows in one message of a stream of statuses. */
export const STATUS_ROWS_PER_MESSAGE = 500;
/** CIDs in one call of Recover. More: INVALID_ARGUMENT; callers send several. */
export const RECOVER_CIDS_MAX = 10_000;

/** Pins in one piece of a status listing; fewer where there are many members, so that a piece has about so many words of peers. */
export const STATUS_PIECE_PINS_MAX = 1_000;
export const STATUS_PIECE_WORDS_MAX = 20_000;

/** A peer that has not answered a question after so long is left out, ms. Down already: it is given less. */
export const PEER_ANSWER_TIMEOUT_MS = 5_000;
export const DOWN_PEER_ANSWER_TIMEOUT_MS = 1_000;
/** Silence in a stream of rows, ms: then the peer is left out. */
export const PEER_STREAM_TIMEOUT_MS = 10_000;

/** Text of an error in a status row, characters. The rest is cut off. */
export const STATUS_ERROR_LENGTH_MAX = 1_024;

/** Changes read from a feed at once, and events in one message of a watch. */
export const WATCH_READ_MAX = 500;
/** Events that wait for the reader of a watch. Beyond, the sources wait. */
export const WATCH_EVENTS_WAITING_MAX = 5_000;
/** Watches on one peer. Beyond: LIMIT_REACHED. */
export const WATCHES_MAX = 1_000;
/** The longest that a call waits for its acknowledgement level, ms. Then it is answered with what was reached. */
export const LEVEL_WAIT_MS_MAX = 30_000;
/**
 * Writes that wait for their level on one peer, each content of PINNED counting as one. Beyond, calls that ask for more than DURABLE are
 * refused (LIMIT_REACHED), and bulk streams are held back.
 */
export const LEVEL_WAITS_MAX = 10_000;
/** Catch-ups of one member's statuses at once, for all watches here; further ones wait. */
export const CATCH_UPS_PER_PEER_MAX = 8;
/** Changed rows of one member kept for all watches here. Watches that stand further back catch up by themselves. */
export const STATUS_LOG_ROWS_MAX = 10_000;
/** Readings of the pinset's feed kept for watches that come to the same revision. */
export const BATCHES_REMEMBERED = 32;
/** Wishes whose status is asked for when a claim on them changes; some 100 bytes each. The oldest are forgotten. */
export const WISHES_TO_ASK_MAX = 50_000;
/** Questions about new claims that one watch has open at once. Beyond, it waits with the changes that come next. */
export const ASKS_MAX = 32;
/** Times that such a question is put, and the pause after the first failure, ms (doubled each time). */
export const ASK_ATTEMPTS = 3;
export const ASK_PAUSE_MS = 100;
/** A reader that takes nothing for so long while events wait for it is told SLOW_READER, ms. */
export const READER_STALL_MS_MAX = 60_000;
/**
 * Statuses that a watch of some of them remembers having told, some 100 bytes each. Beyond, it tells every change of the peers
 * concerned, until they begin anew.
 */
export const TOLD_STATUSES_MAX = 100_000;
/** Pause before a stream that ended is begun anew, ms. */
export const REATTACH_PAUSE_MS = 50;
/** Pins that a resume token names because their statuses are still asked for. Of more it names the revision before them. */
export const TOKEN_ASKED_MAX = 100;
/** A resume token comes so long after what it names at the soonest, and so far from the next, ms: it has some 60 bytes a member. */
export const TOKEN_INTERVAL_MS = 250;
/** Peers named in a resume token. With more, the rest begin anew after a resumption. */
export const TOKEN_PEERS_MAX = 1_024;
/** A resume token, bytes. Longer: INVALID_TOKEN. */
export const TOKEN_BYTES_MAX = 1024 * 1024;
/** Waits after a lost member before it is asked again: the first and the longest, ms. */
export const RETRY_MS_MIN = 500;
export const RETRY_MS_MAX = 15_000;
/** How often is looked whether this peer has seen what a resume token from elsewhere has, ms, and for how long at most. */
export const AHEAD_POLL_MS = 200;
export const AHEAD_WAIT_MS_MAX = 30_000;

/** Pins allocated to a peer that is removed are counted for so long, ms: a million in a second or two. */
export const ALLOCATED_SCAN_MS_MAX = 10_000;
/** Buckets looked at between two turns of others: a 64th of the pins. */
export const ALLOCATED_BUCKETS_PER_STEP = 1_024;

/** Between two words on how far a scrub is. */
export const SCRUB_PROGRESS_INTERVAL_MS = 250;

/** Members asked at once for their connections. The rest wait, within the time that all have. */
export const CONNECTIVITY_ASKED_AT_ONCE = 32;

/** Alerts are looked at so often, ms, besides when the monitor says that one has changed. */
export const ALERT_LOOK_INTERVAL_MS = 1_000;
/** Watches of alerts on one peer. Beyond: LIMIT_REACHED. */
export const ALERT_WATCHES_MAX = 1_000;
/** Changes in one message of such a watch: a message of an alert has up to 1,024 characters. */
export const ALERT_CHANGES_PER_MESSAGE = 200;

/** The members are looked at anew for allocations after so long at the latest, ms. For 4,096 of them that takes some 30 ms. */
export const PLACING_AGE_MS_MAX = 1_000;

/** Members asked at once what they wait for with a pin. The rest wait, within the time that all have. */
export const EXPLAIN_ASKED_AT_ONCE = 32;

/** IPFS nodes that collect at once for one call. More: INVALID_ARGUMENT. */
export const COLLECTIONS_MAX = 16;
/** Between two words on how far a collection is, ms. */
export const COLLECTION_PROGRESS_INTERVAL_MS = 250;
/** CIDs in one word on a collection. Then it is told at once. */
export const COLLECTED_CIDS_PER_MESSAGE = 1_000;
/** Words that wait for the reader. Beyond, progress is left out, and what has CIDs waits. */
export const COLLECTED_EVENTS_WAITING_MAX = 64;

/** The blocks of an add are kept from collection after its pins are committed until the node has them pinned, but not longer than this, ms. */
export const HELD_WAIT_MS_MAX = 600_000;

/** Paths that one peer resolves at once. Beyond: LIMIT_REACHED. */
export const RESOLVES_MAX = 64;
/** How long each block on the way of a path, or an /ipns name, is waited for, ms. Then: IPFS_FAILED. */
export const RESOLVE_STALL_MS = 30_000;

// Limits of docs/protocol.md section 9, and the times of section 4. Every batch that any peer ever wrote must stay within
// them: they may be raised with a new protocol level, never lowered.

/** Protocol level of the operations that this version writes and understands. */
export const PROTOCOL_LEVEL = 1;

export const OPS_PER_BATCH_MAX = 5_000;
/** Bytes of a batch's operations, tables included. */
export const BATCH_BYTES_MAX = 1024 * 1024;
/** A header with a full `inc` of CLOCK_ENTRIES_MAX entries. */
export const HEADER_BYTES_MAX = 128 * 1024;
export const OPS_PER_REQUEST_MAX = 1_000;
export const CLOCK_ENTRIES_MAX = 4_096;
/** Entries at which the alert CLOCK_ENTRIES is raised. */
export const CLOCK_ENTRIES_ALERT = 1_024;
/** Dots that one operation may see. */
export const SEES_MAX = CLOCK_ENTRIES_MAX;
export const IDEMPOTENCY_KEY_BYTES = 16;

export const REQUESTS_PER_CALL_MAX = 10_000;
/** Requests waiting to be decided; more are refused with LIMIT_REACHED. */
export const REQUESTS_QUEUED_MAX = 100_000;
/**
 * Requests in an own batch, far below what a batch may hold: deciding one keeps the event loop for some milliseconds, and the store waits
 * for the event loop before it writes what comes next. Batches that wait for the store together share its transaction and its flush.
 */
export const OWN_BATCH_REQUESTS_MAX = 1_250;
/** Own batches under way to the disk at once: two transactions' worth being written and flushed, and one being built. */
export const OWN_BATCHES_IN_FLIGHT_MAX = 12;
/** While any is, another is begun only for so many requests: small batches cost the device more (section 10). */
export const FURTHER_BATCH_REQUESTS_MIN = 1_000;
/** How long a batch waits for as many calls as the one before answered, ms; and how many those must have been. */
export const GATHER_MS = 1;
export const GATHER_CALLS_MIN = 8;

/** Bytes of batches that one message of Sync carries, unless it is a single one: what small ones share. */
export const RUN_BYTES_MAX = 64 * 1024;
/** Bytes of operations up to which a batch that follows another goes without its header: of more, a header is next to nothing. */
export const RUN_FOLLOWING_BYTES_MAX = 8 * 1024;

/** A batch above this is announced only (G1). The gossip limit of the network is above it. */
export const GOSSIP_BATCH_BYTES_MAX = 64 * 1024;

/**
 * Batches and announcements that one peer forwards and that are looked at (0.3 ms each): so many at once, then one each so many ms.
 * Further ones are ignored and counted: anti-entropy brings them. All that has come is looked at in one turn of the event loop,
 * so a burst is what others wait for.
 */
export const GOSSIP_BURST = 256;
export const GOSSIP_EVERY_MS = 2;
/** Peers whose gossip is counted; the one that was counted first is forgotten. */
export const GOSSIP_FORWARDERS_MAX = 1_024;

export const PULL_DELAY_JITTER = 0.5;
export const FOLLOW_RETRY_MS = 2_000;
export const FOLLOWS_SERVED_MAX = 32;
/** Authors that one followed stream may leave out: the caller, and as many as it can follow. */
export const EXCEPT_AUTHORS_MAX = 65;

/** Signatures that need not be checked again; the oldest makes room. */
export const SIGNATURES_KNOWN_MAX = 1_024;

/** One transaction of what others wrote (S4). */
export const GROUP_OPS_MAX = 1_000;
export const GROUP_BYTES_MAX = 1024 * 1024;
/**
 * Transactions of others' batches under way to the disk at once. Those that wait for the store together share its transaction and its
 * flush: as many as of own batches, or who follows a bulk writer would be slower than it. Of those with less than GROUP_OPS_MAX two:
 * one is built while the disk works on the other, and what comes meanwhile gathers.
 */
export const GROUPS_IN_FLIGHT_MAX = 12;
export const SMALL_GROUPS_IN_FLIGHT_MAX = 2;
/** Batches that came by gossip and wait for their transaction. More are dropped: anti-entropy brings them back. */
export const RECEIVED_QUEUED_MAX = 1_024;

export const HELLO_JITTER = 0.3;
export const HELLO_TIMEOUT_MS = 10_000;

/** Wall times heard of fewer peers say nothing. */
export const CLOCK_SKEW_PEERS_MIN = 2;
/** A wall time heard longer ago does not count. */
export const CLOCK_SKEW_AGE_MS = 60_000;

/** N3: at most one new incarnation in this time. */
export const INCARNATION_INTERVAL_MS = 10 * 60_000;
/** N4: what one page of headers holds, and how many are looked at before a peer is given up as a witness. */
export const HEADERS_PAGE_MAX = 256;
export const HEADERS_PAGE_BYTES = 512 * 1024;
export const HEADERS_WALKED_MAX = 1_000_000;
/** How long an author is left alone after it was told of a fork and has not settled it, and how long a peer as a witness of none. */
export const FORK_TELL_INTERVAL_MS = 5_000;
export const FORK_WITNESS_INTERVAL_MS = 60_000;
/** Witnesses that are remembered; with more all are forgotten. */
export const WITNESSES_MAX = 10_000;
/** Batches of the log that are looked at before others get their turn. */
export const FORK_SCAN_BATCHES = 64;
/** How long the others have to bring what the branch that goes on has. */
export const FORK_REST_MS = 60_000;
/** What has healed by itself is still shown for so long, so that somebody sees it. */
export const ALERT_SHOWN_MS = 60_000;

/** Calls of at most about 1 MiB that one round of offering makes; the next Hello goes on. */
export const OFFER_CALLS_MAX = 256;

/** Before a store is left: how long others are given to take what only this peer has, how often they are asked, and how many CIDs are named. */
export const DEPARTURE_PATIENCE_MS = 20_000;
export const DEPARTURE_RETRY_MS = 1_000;
export const DEPARTURE_NAMED_MAX = 5;

/** N5. */
export const DUPLICATE_IDENTITY_MS = 60_000;
/** How soon a peer whose process has changed is asked again, to see which one answers. */
export const DUPLICATE_PROBE_MS = 1_000;

/** A peer that has acknowledged nothing for so long holds nobody's log (L1). */
export const ACK_HOLDER_AGE_MS = 24 * 3_600_000;
/** Peers whose acknowledgements are remembered; the one heard longest ago makes room. */
export const ACK_PEERS_MAX = 1_024;

/** R7: one acknowledgement to an author in this time, ms, for all batches; and how long it may take. */
export const ACK_INTERVAL_MS = 20;
export const ACK_TIMEOUT_MS = 5_000;
/** Waits for a level at once, of calls and of messages of bulk streams. More are refused with LIMIT_REACHED. */
export const LEVEL_WAITS_MAX = 20_000;
/** A wait that lasts so long, ms, has the peers that have not acknowledged asked for their clocks, as often as this. */
export const LEVEL_ASK_INTERVAL_MS = 500;

/** Buckets of one MergeRange call (B1). */
export const RANGE_BUCKETS_MAX = 4_096;
/** Buckets that a caller has doubts about, in one request. */
export const DOUBTED_BUCKETS_MAX = 64;
export const RANGE_BYTES_MAX = 64 * 1024 * 1024;
export const RANGE_TIME_MS = 30_000;
/** Bytes of rows in one message of MergeRange. */
export const RANGE_MESSAGE_BYTES = 128 * 1024;
/** Rows appended to the shadow in one transaction, about: whole buckets. */
export const SHADOW_ROWS_PER_TRANSACTION = 4_000;
/** How often it is looked whether the log can be cut (4.7). */
export const LOG_LOOK_MS = 10_000;
/** How long an operator is told that a part of the log was damaged. */
export const LOG_DAMAGED_SHOWN_MS = 86_400_000;
/** Batches, and bytes of them, deleted in one transaction, and the time between two. */
export const LOG_CUT_ROWS_MAX = 500;
export const LOG_CUT_BYTES_MAX = 4 * 1024 * 1024;
export const LOG_CUT_PAUSE_MS = 20;
/** How fine the ages of batches are known: marks in `logAgeMinMs`, and in `logBytesMax` or `logAgeMaxMs`. */
export const LOG_MARKS_PER_MIN_AGE = 8;
export const LOG_MARKS_PER_BYTES_MAX = 64;
/** L3: how much further than L2 the log may go for the sake of a shadow. */
export const LOG_OVERDUE_FACTOR = 1.25;

/** B5: operations of the own log that the swap's transaction takes. */
export const SWAP_TAIL_OPS_MAX = 1_000;
/** How long my own snapshot is held for a call (B1). */
export const RANGE_SNAPSHOT_MS = 60_000;
/** Own rows read from it at once: whole buckets, one at least. */
export const OWN_ROWS_READ_TOGETHER = 500;
export const REBUILD_RETRY_MS = 1_000;
/** How often it is looked whether a rebuild is still needed, while one is. */
export const REBUILD_LOOK_MS = 5_000;
/** Free disk that a rebuild needs: so many times the larger of both live sets. Looked at again after so long. */
export const REBUILD_ROOM_FACTOR = 1.2;
export const REBUILD_ROOM_RETRY_MS = 60_000;
/** Keys listed for the feed row of a swap; with more it names everything (6.4). */
export const SHADOW_KEYS_MAX = 1_000_000;
/** Rows of that list removed in one transaction. */
export const SHADOW_KEY_ROWS_REMOVED_MAX = 100;
/** Keys read from the feed at once. */
export const FEED_READ_TOGETHER = 10_000;
/** A peer with an empty store that reaches nobody for so long begins a pinset of its own. */
export const JOIN_PATIENCE_MS = 60_000;

/** How often what is only kept is trimmed and saved. */
export const UPKEEP_INTERVAL_MS = 60_000;
export const IDEMPOTENCY_TRIM_ROWS_MAX = 1_000;

/** Keys that `changedSince` names; with more, listing again is the better way: 'gone'. */
export const CHANGED_KEYS_MAX = 100_000;
/** Transactions whose clock is remembered for resume tokens. */
export const REVISIONS_REMEMBERED = 4_096;

/** Peers on one trust list. */
export const TRUSTED_PEERS_MAX = 1_000;
/** Trust lists of the members kept here, bytes. Over it a list is not kept: that member's is then one that is not known (T4). */
export const TRUST_LISTS_BYTES_MAX = 16 * 1024 * 1024;
/** Trust lists given away with one Hello, bytes: the own one first, then from anywhere, so that all come in turn. */
export const HELLO_TRUST_BYTES_MAX = 256 * 1024;
/** What was turned away at the door is reported to its author so often, ms (T5). */
export const UNTRUSTED_REPORT_INTERVAL_MS = 60_000;
/** Untrusted authors that are told of; batches of further ones are counted and logged only. */
export const UNTRUSTED_AUTHORS_MAX = 256;

/** Operations that two clocks may differ by for their digests to be compared; with more the later one catches up first. */
export const LEFT_OUT_OPERATIONS_MAX = 100_000;
/** Buckets in one message of digests. */
export const DIGESTS_PER_MESSAGE = 4_096;
/** Buckets that one GetBuckets or RepairBuckets speaks of. */
export const REPAIRED_BUCKETS_MAX = 64;
/** An answer to GetBuckets ends after the bucket that reaches it. */
export const BUCKETS_BYTES_MAX = 4 * 1024 * 1024;
/** Two comparisons with one peer whose digest is another. */
export const COMPARE_PAUSE_MS = 60_000;
export const COMPARE_TIMEOUT_MS = 60_000;
/** Alerts that stand at once. Further ones are only logged: an operator who has so many has seen the reason. */
export const ALERTS_MAX = 1_000;
/** Peers whose last Hello is remembered, and processes of one; the oldest is forgotten. */
export const PEER_VIEWS_MAX = 1_024;
export const PEER_PROCESSES_MAX = 16;
/** A pull that brings nothing for so long is given up: its source must not hold one of the few for ever. */
export const PULL_STALL_MS = 30_000;
/** Buckets that an alert names. */
export const ALERT_BUCKETS_MAX = 8;
/** Buckets that a plan of a repair tells one by one; those beyond are counted. */
export const PLANNED_BUCKETS_MAX = 1_000;

/** Format of the tables on disk. A newer one is refused, an older one is brought forward when it is opened. */
export const FORMAT_VERSION = 1;

/** Names get numbers that are never given back. */
export const REPLICAS_MAX = 65_536;
export const PEERS_MAX = 65_536;
export const NAMESPACES_MAX = 65_536;

/** Bytes of a name or a metadata value that enter an index key; what is longer is cut and told apart by a hash. */
export const INDEXED_TEXT_BYTES_MAX = 256;
/** Bytes of a metadata key that can be indexed: 64 characters. With a cut value it makes a key that LMDB takes. */
export const INDEXED_METADATA_KEY_BYTES_MAX = 192;
/** Metadata keys that can be indexed: each is one more write for a pin that has it. */
export const INDEXED_METADATA_KEYS_MAX = 16;

/** Work a call of `list` does before it ends with a cursor, in rows passed over: about 5 ms of the event loop. */
export const LIST_WORK_MAX = 2_048;
/** Work of an index entry: the row it stands for is found by a search. */
export const LIST_ENTRY_WORK = 4;
/** Pins a page, whatever was asked for. */
export const LIST_PAGE_PINS_MAX = 1_000;
/** CIDs a filter can name. */
export const LIST_CIDS_MAX = 1_000;
/** Namespaces whose name indexes are merged to list one name in key order; with more, the rows are walked. */
export const LIST_MERGED_NAMESPACES_MAX = 64;

/** docs/protocol.md section 8: how far the digest on disk may lie behind the one in memory. */
export const CHECKPOINT_INTERVAL_MS = 60_000;
export const CHECKPOINT_REVISIONS_MAX = 4_096;

/** docs/protocol.md 6.4. */
export const FEED_AGE_MS = 60 * 60 * 1000;
export const FEED_BYTES_MAX = 1024 * 1024 * 1024;
export const FEED_TRIM_INTERVAL_MS = 10_000;
/** Feed rows, and bytes of them, taken away in one transaction. */
export const FEED_TRIM_ROWS_MAX = 500;
export const FEED_TRIM_BYTES_MAX = 4 * 1024 * 1024;
/** Callers of `feed.wait` at one time. */
export const FEED_WAITERS_MAX = 10_000;

/** Rows of a dead table set removed in one transaction; few, because they pass through the main thread. */
export const EMPTYING_ROWS_MAX = 2_000;
/** Time between two of them, so that others get the disk too. */
export const EMPTYING_PAUSE_MS = 20;
/** Rows indexed in one step of indexing a metadata key, or counted anew. */
export const INDEXING_ROWS_MAX = 1_000;
/** Rows of a shadow that are read in one call of `shadow.buildIndexes`, some milliseconds. */
export const INDEXED_ROWS_MAX = 4_000;
/**
 * Rows of a shadow whose index entries are gathered and then put in their order, some 10 MB of them, and as many again are gathered while
 * they are put: the more, the fewer times each page of an index is written.
 */
export const INDEXED_TOGETHER_ROWS_MIN = 128_000;
/** Bytes of entries that are enough, however few the rows. */
export const GATHERED_BYTES_MAX = 32 * 1024 * 1024;
/** Entries of them that are sorted together, at most 2^17, and how many are put in one transaction: some milliseconds each. */
export const SORTED_RUN_ENTRIES = 131_072;
export const INDEX_ENTRIES_PER_TRANSACTION = 16_000;
/** Of those transactions: one is written while the next is made. */
export const INDEX_TRANSACTIONS_MAX = 2;

/** Texts of peer IDs kept beside their bytes. */
export const PEER_ID_CACHE_MAX = 4_096;

/** Rows or index entries that a scrub reads in one turn of the event loop: a few milliseconds. */
export const SCRUB_ROWS_PER_STEP = 256;
/** And buckets: most are empty in a small pinset. */
export const SCRUB_BUCKETS_PER_STEP = 2_048;
/** In the background it reads what has become due this often. */
export const SCRUB_INTERVAL_MS = 600_000;
/** Buckets in which something was found wrong that are remembered; those beyond are counted. */
export const SCRUB_FINDINGS_MAX = 1_024;

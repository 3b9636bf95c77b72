/** Limits of one add. */

/** Entries (files and directories) of one add: their names are kept in memory until the end. Above: INVALID_ARGUMENT. */
export const ADD_ENTRIES_MAX = 1_000_000;

/** Bytes of a path in UTF-8, of one name in it, and names in it. Above: INVALID_ARGUMENT. */
export const ADD_PATH_BYTES_MAX = 4_096;
export const ADD_NAME_BYTES_MAX = 255;
export const ADD_DEPTH_MAX = 128;

/** Largest chunk, as Kubo has it (2 MiB less room for the wrapping): every node takes such blocks over bitswap. */
export const CHUNK_BYTES_MAX = 2 * 1024 * 1024 - 256;

/** Most links of one node of a file. Kubo's is 174; 8,192 links stay under 1 MiB. */
export const NODE_LINKS_MAX = 8_192;

/** Blocks and bytes that are collected before they are written, and how many batches may be on their way: what an add keeps in memory. */
export const BATCH_BLOCKS_MAX = 1_024;
export const BATCH_BYTES_MAX = 4 * 1024 * 1024;
export const BATCHES_IN_FLIGHT_MAX = 2;

/** Top-level entries that are held back, finished, to share one flush. */
export const ROOTS_HELD_MAX = 256;

/** Chunks that one add hashes and hands on at once. */
export const CHUNKS_IN_FLIGHT_MAX = 16;

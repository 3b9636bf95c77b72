import { BLOCK_BYTES_MAX, CID_BYTES_MAX, WALK_BLOCKS_MAX } from '../ipfs/constants.ts';

/** Limits of one add. */

/** Names in the directories on one path, which are kept in memory until these are made. Above: INVALID_ARGUMENT. */
export const ADD_NAMES_HELD_MAX = 1_000_000;

/** Bytes of a path in UTF-8, of one name in it, and names in it. Above: INVALID_ARGUMENT. */
export const ADD_PATH_BYTES_MAX = 4_096;
export const ADD_NAME_BYTES_MAX = 255;
export const ADD_DEPTH_MAX = 128;

/** Largest chunk, as Kubo has it (2 MiB less room for the wrapping): every node takes such blocks over bitswap. */
export const CHUNK_BYTES_MAX = 2 * 1024 * 1024 - 256;

/** Most links of one node of a file. Kubo's is 174; 8,192 links stay under 1 MiB. */
export const FILE_LINKS_MAX = 8_192;

/** Above so many entries every directory may be asked to be sharded; one above that is so in any case. */
export const DIRECTORY_LINKS_MAX = 1_000_000;

/** Largest block that may become part of its CID, bytes: as Kubo. */
export const INLINE_BYTES_MAX = 128;

/** Blocks and bytes that are collected before they are written, and how many batches may be on their way: what an add keeps in memory. */
export const BATCH_BLOCKS_MAX = 1_024;
export const BATCH_BYTES_MAX = 4 * 1024 * 1024;
export const BATCHES_IN_FLIGHT_MAX = 2;

/** Top-level entries that are held back, finished, to share one flush. */
export const ROOTS_HELD_MAX = 256;

/** Of a CAR. Above: INVALID_ARGUMENT, told from the length alone. A header has its roots only, some 40 bytes each. */
export const CAR_HEADER_BYTES_MAX = 1024 * 1024;
export const CAR_ROOTS_MAX = 1_000;

/** A section is a CID and a block. */
export const CAR_SECTION_BYTES_MAX = BLOCK_BYTES_MAX + CID_BYTES_MAX;

/** Blocks that are remembered of one CAR, at 21 to 43 bytes each (those with links twice): as many as one walk. */
export const CAR_BLOCKS_MAX = WALK_BLOCKS_MAX;

/**
 * Blocks that came before what links to them, and their links to what is not complete yet, together: measured, 255 bytes a block and 37
 * a link. None where a DAG comes from its root on, or from its leaves up.
 */
export const CAR_LINKS_MAX = 2 * 1024 * 1024;

/** Links to blocks that have not come yet: measured, 112 bytes each. Few where blocks follow what links to them. */
export const CAR_AWAITED_MAX = 2 * 1024 * 1024;

/** Missing blocks that an error names. */
export const CAR_MISSING_NAMED = 20;

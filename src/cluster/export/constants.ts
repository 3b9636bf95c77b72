/** Limits of exports, each with its unit and what happens at it. */

/** CIDs in one request for blocks. More: INVALID_ARGUMENT. */
export const BLOCKS_ASKED_MAX = 64;
/** Blocks of one call that a peer reads before the caller has taken those in front of them. Beyond, it reads on when they are taken. */
export const BLOCKS_READ_AHEAD_MAX = 4;

/** Exports that one peer serves at once; each keeps some READ_AHEAD_BYTES_MAX. Beyond: LIMIT_REACHED. */
export const EXPORTS_MAX = 32;

/** Blocks that one export asks for before their turn. */
export const READ_AHEAD_BLOCKS_MAX = 16;
/** Links that are looked at for them: many may lead to what was read already. */
export const UPCOMING_LOOKED_AT_MAX = 64;
/** Blocks that one export keeps before their turn, on their way or here. Beyond, the ones not wanted soon are dropped, and read again. */
export const BLOCKS_KEPT_MAX = 32;
/** What these may have together, if the largest so far is a measure, bytes. Beyond, fewer are kept. */
export const READ_AHEAD_BYTES_MAX = 8 * 1024 * 1024;
/** What a block is taken to have while none was seen, bytes: the usual chunk. */
export const BLOCK_BYTES_USUAL = 256 * 1024;

/** Peers that one export asks. Of more, the rest is not asked. */
export const EXPORT_SOURCES_MAX = 32;
/** A peer that answers nothing for so long while blocks are asked of it is passed over, ms. */
export const SOURCE_STALL_MS = 20_000;
/** Calls that fail without an answer in between. Then the peer is not asked again in this export. */
export const SOURCE_FAILURES_MAX = 3;
/** Before those that failed are asked again for a block that nobody else has, ms. */
export const SOURCE_RETRY_PAUSE_MS = 500;
/** A call with nothing to ask is ended after so long, ms, before the callee takes the silence for a fault. */
export const SOURCE_IDLE_MS = 10_000;
/** Peers that an error names. Of more, the number is told. */
export const SOURCES_NAMED_MAX = 8;

/** Directories below each other, and bytes of a path below what is exported: twice what an add takes. Beyond: INVALID_ARGUMENT, asking for a CAR. */
export const EXPORT_DEPTH_MAX = 256;
export const EXPORT_PATH_BYTES_MAX = 8_192;
/** Entries of one export: few blocks can be in many places. Beyond: INVALID_ARGUMENT, asking for a CAR. */
export const EXPORT_ENTRIES_MAX = 16 * 1024 * 1024;

/** Content in one message, bytes. */
export const EXPORT_DATA_BYTES_MAX = 1024 * 1024;
/** Small blocks of a CAR go together until there are so many bytes. */
export const CAR_GATHERED_BYTES = 64 * 1024;

/**
 * Bytes of address space for the file, not of disk or memory: the file grows as it is written to, and an unused rest of
 * the map costs nothing. Growing the map later would mean unmapping it under open read transactions, so it is large
 * from the beginning. x86-64 and arm64 have 128 TiB and more.
 */
export const MAP_BYTES_DEFAULT = 1024 ** 4;

/** Half of the address space of x86-64. */
export const MAP_BYTES_MAX = 64 * 1024 ** 4;

/** Read transactions open at the same time: one for plain reads and one per open snapshot. */
export const READERS_MAX = 512;

/** Bytes of one piece of a write batch: a few thousand small writes. */
export const CHUNK_BYTES = 512 * 1024;

/** Pieces kept for reuse, 16 MiB; what a larger burst needed beyond that is left to the garbage collector. */
export const CHUNKS_KEPT_MAX = 32;

/**
 * LMDB transactions between their start and the end of their flush: one that is being written while the one before it
 * is being flushed. Each occupies one thread of libuv's pool (4 by default), which the file system and DNS need too.
 */
export const COMMITS_IN_FLIGHT_MAX = 2;

/** Bytes of a page that we read of a file's header; LMDB's own header reader takes fewer. */
export const HEADER_BYTES = 4096;

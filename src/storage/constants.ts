/** Bytes of the longest key. The limit of stock LMDB; ours would take more, a store must not depend on it. */
export const KEY_BYTES_MAX = 511;

/** Bytes of the longest bound of a range: a longest key and one byte, so that "everything after this key" can be said. */
export const BOUND_BYTES_MAX = KEY_BYTES_MAX + 1;

/** Bytes of the largest value. */
export const VALUE_BYTES_MAX = 256 * 1024 * 1024;

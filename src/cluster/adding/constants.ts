/** Limits of adds, each with its unit and what happens at it. */

/** Adds under way at one peer. Beyond: LIMIT_REACHED. As many calls as a destination takes from one peer. */
export const ADDS_MAX = 32;

/** Events that wait for a slow reader before the add waits for it. */
export const ADD_EVENTS_WAITING_MAX = 256;

/** Progress is told once in so many bytes of content, or so many blocks. */
export const PROGRESS_STEP_BYTES = 1024 * 1024;
export const PROGRESS_STEP_BLOCKS = 1_024;

/** A destination that is silent for so long on a batch, or on the end, gets nothing more of the add, ms. */
export const DESTINATION_STALL_MS = 60_000;

/** Blocks of one message to a destination, bytes together; a block may be larger alone. */
export const PARCEL_BYTES = 1024 * 1024;

/** Bytes of one batch at a destination: what the adder collects, and a block more. Above: INVALID_ARGUMENT. */
export const PUT_BATCH_BYTES_MAX = 16 * 1024 * 1024;

/**
 * How long a destination keeps collection away after a call that broke when the pins may have been committed, ms: they come by the
 * consensus, and the node has a record of them some time after that.
 */
export const BROKEN_ADD_GRACE_MS = 10 * 60_000;

/** Largest message taken or sent by a client door, bytes. Above the largest batch of a bulk stream (1 MiB) with room. */
export const messageBytesMax = 4 * 1024 * 1024;

/** Pins a message of a listing. One a message costs five times as much. */
export const pinsPerMessage = 500;

/** Words of peers a message of a status listing; one has at most about 1 KiB, for its error. */
export const peerWordsPerMessage = 2_000;

/** Operations a message of a bulk stream. */
export const operationsPerBatchMax = 5_000;

/** Messages of a bulk stream that wait for their answer at once: what keeps the disk busy while more is read. */
export const batchesInFlightMax = 4;

/** Bytes of an idempotency key or a stream key. */
export const keyBytesMax = 256;

/** Namespaces, CIDs or metadata pairs of one filter. */
export const filterItemsMax = 1_000;

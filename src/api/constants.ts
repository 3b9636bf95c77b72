/** Largest message taken or sent by a client door, bytes. Above the largest batch of a bulk stream (1 MiB) with room. */
export const messageBytesMax = 4 * 1024 * 1024;

/** Pins a message of a listing. One a message costs five times as much. */
export const pinsPerMessage = 500;

/** Words of peers a message of a status listing; one has at most about 1 KiB, for its error. */
export const peerWordsPerMessage = 2_000;

/** Operations a message of a bulk stream. */
export const operationsPerBatchMax = 5_000;

/**
 * Operations of a bulk stream that wait for their answer at once: what the consensus has on its way to the disk, and some thousands being read
 * meanwhile. With fewer the store waits for operations, with more they outlive the young generation.
 */
export const bulkOperationsInFlightMax = 20_000;

/** The same of all bulk streams together, below what the consensus queues. Each may have one message in flight beyond it. */
export const bulkOperationsOfAllMax = 60_000;

/** Messages of a bulk stream that wait for their answer at once. */
export const bulkMessagesInFlightMax = 64;

/**
 * What waits for its level in one bulk stream: each answer counts as one, each content of PINNED and each refused operation, too. At the
 * limit no more is read.
 */
export const bulkWaitsMax = 4_096;

/** Bytes of an idempotency key or a stream key. */
export const keyBytesMax = 256;

/** Namespaces, CIDs or metadata pairs of one filter. */
export const filterItemsMax = 1_000;

/** How long calls, and then connections, may take to end when the peer stops. After that they are cut. */
export const stopGraceMs = 3_000;

/** Content of one message of an add, bytes. */
export const addDataBytesMax = 1024 * 1024;

/** Details of an error in a gRPC trailer, bytes: clients take headers of some 16 KiB in all. Above, only the reason is told. */
export const errorDetailsBytesMax = 6 * 1024;

/** How long a client may take to send the head of an HTTP request, ms. The body may be a stream that lasts. */
export const requestHeadMsMax = 15_000;

/** A gRPC connection is asked so often whether it is still there, and closed when it does not answer for as long, ms. */
export const keepaliveMs = 15_000;

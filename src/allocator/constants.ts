/** Latencies that differ by less count as the same, ms. */
export const LATENCY_BUCKET_MS = 100;

/** Free space that a peer keeps for itself unless the configuration says otherwise, bytes. */
export const HEADROOM_BYTES_DEFAULT = 2 ** 30;

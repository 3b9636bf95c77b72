const COUNTS_PER_MS = 1024;

/**
 * The stamp of an operation (5.1): max(now, last issued + 1, greatest of the key + 1), in milliseconds x 1024 + counter. A
 * hybrid clock per key: a wrong clock spoils only the keys that its author touches.
 */
export function nextStamp(nowMs: number, lastIssued: number, greatestOfKey: number): number {
  return Math.max(Math.floor(nowMs) * COUNTS_PER_MS, lastIssued + 1, greatestOfKey + 1);
}

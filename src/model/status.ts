/** How far a node is with a pin. Names as in IPFS Cluster; each has its sentence. */
export const trackerStatuses = {
  cluster_error: 'the peer could not be asked',
  pin_error: 'the last attempt to pin failed; it is tried again',
  unpin_error: 'the last attempt to unpin failed; it is tried again',
  pinned: 'the node holds all of the content',
  pinning: 'an attempt is under way',
  unpinning: 'the pin is being removed from the node',
  unpinned: 'not in the pinset',
  remote: 'in the pinset, allocated to other peers',
  pin_queued: 'waits for its first attempt, or for its next',
  unpin_queued: 'waits to be removed from the node',
  sharded: 'a meta pin: its shards are pinned',
  unexpectedly_unpinned: 'was held by the node and is gone without our doing',
} as const;

export type TrackerStatus = keyof typeof trackerStatuses;

export const errorClasses = [
  'no_provider',
  'timeout',
  'disk_full',
  'node_unreachable',
  'invalid_dag',
  'other',
] as const;

export type ErrorClass = (typeof errorClasses)[number];

/** What one peer says of one wish. */
export interface WishStatus {
  /** Binary, version 1. */
  cid: Uint8Array;
  status: TrackerStatus;
  sinceMs: number;
  attempts: number;
  errorClass: ErrorClass | undefined;
  error: string;
  /** 0: not waiting for a retry. */
  retryAtMs: number;
}

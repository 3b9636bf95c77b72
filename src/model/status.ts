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

/** The numbers of the protobuf enum TrackerStatus, used on the wire and on disk. */
export const statusNumbers: Record<TrackerStatus, number> = {
  cluster_error: 1,
  pin_error: 2,
  unpin_error: 3,
  pinned: 4,
  pinning: 5,
  unpinning: 6,
  unpinned: 7,
  remote: 8,
  pin_queued: 9,
  unpin_queued: 10,
  sharded: 11,
  unexpectedly_unpinned: 12,
};

const statusesByNumber = new Map(Object.entries(statusNumbers).map(([status, n]) => [n, status as TrackerStatus]));

export function statusOfNumber(number: number): TrackerStatus | undefined {
  return statusesByNumber.get(number);
}

/** Why an attempt failed. The place in the list plus 1 is its number on the wire and on disk; 0 is none. */
export const errorClasses = [
  'no_provider',
  'timeout',
  'disk_full',
  'node_unreachable',
  'invalid_dag',
  'other',
] as const;

export type ErrorClass = (typeof errorClasses)[number];

export function errorClassNumber(errorClass: ErrorClass | undefined): number {
  return errorClass === undefined ? 0 : errorClasses.indexOf(errorClass) + 1;
}

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

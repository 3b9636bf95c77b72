import type { HoldMode } from '../ipfs/connector.ts';
import type { ErrorClass, TrackerStatus, WishStatus } from '../model/status.ts';

/** What is kept of a wish. All but `pinned`, `pinning` and `unpinning` wait for their time in the table of due work. */
export interface StatusRow {
  readonly status: RowStatus;
  readonly sinceMs: number;
  /** Attempts that failed since the last that did not. */
  readonly attempts: number;
  readonly errorClass: ErrorClass | undefined;
  readonly error: string;
  /** Not to be tried before. 0: at once, before all retries. */
  readonly retryAtMs: number;
  /** How the node holds it for certain. 'none' also where that is not known: pinning again does no harm. */
  readonly held: HoldMode | 'none';
  /** Of its namespace (`flowOf`): whose turn its retries take. 0 of a row that has nothing to wait for. */
  readonly flow: number;
}

/** Number on disk = place + 1. Never reordered. */
export const rowStatuses = [
  'pinned',
  'pin_queued',
  'pinning',
  'pin_error',
  'unpin_queued',
  'unpinning',
  'unpin_error',
  'unexpectedly_unpinned',
] as const;

export type RowStatus = (typeof rowStatuses)[number] & TrackerStatus;

/** Stands for a row that the disk has damaged: what it said is not known any more, so the node is asked again. */
export const lostRow: StatusRow = Object.freeze({
  status: 'pin_queued',
  sinceMs: 0,
  attempts: 0,
  errorClass: undefined,
  error: '',
  retryAtMs: 0,
  held: 'none',
  flow: 0,
});

export function isUnpin(status: RowStatus): boolean {
  return status === 'unpin_queued' || status === 'unpinning' || status === 'unpin_error';
}

/** Whether the row waits in the table of due work. */
export function isDueKept(status: RowStatus): boolean {
  return status !== 'pinned' && status !== 'pinning' && status !== 'unpinning';
}

/** The row as others see it. */
export function wishStatus(cid: Uint8Array, row: StatusRow): WishStatus {
  const { status, sinceMs, attempts, errorClass, error, retryAtMs } = row;
  return { cid, status, sinceMs, attempts, errorClass, error, retryAtMs };
}

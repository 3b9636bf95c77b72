import { pinKeyPrefix } from '../model/pin-key.ts';
import type { TableName, TableSpec } from '../storage/storage.ts';
import { isUnpin, type RowStatus, rowStatuses, type StatusRow } from './status-row.ts';

/**
 * Wish -> pinfold.store.v1.StatusValue. The key is the CID (version 1) alone: with the eight bytes of hash that pin keys
 * begin with, a pinned wish would take about 98 bytes of disk instead of 87.
 */
export const statusTable: TableName = 'statuses';
/** Number of an indexed status, place of the wish in the order of pin keys -> nothing. */
export const byStatusTable: TableName = 'statuses_by_status';
/** Lane (0 pin, 1 unpin), flow, time from which it may be tried, wish -> nothing. */
export const dueTable: TableName = 'statuses_due';
/** Revision -> pinfold.store.v1.StatusFeedRow. */
export const statusFeedTable: TableName = 'statuses_feed';
/** Flow, number -> pinfold.store.v1.IntakeRow. */
export const intakeTable: TableName = 'tracker_intake';
/** Two rows: pinfold.store.v1.StatusState and TrackerPosition. */
export const stateTable: TableName = 'tracker_state';

/** To be declared when the store is opened. */
export const trackerTables: readonly TableSpec[] = [
  { name: statusTable },
  { name: byStatusTable, writeOnly: true },
  { name: dueTable, writeOnly: true },
  { name: statusFeedTable, writeOnly: true },
  { name: intakeTable, writeOnly: true },
  { name: stateTable },
];

export const statusStateKey = Buffer.from('status');
export const positionKey = Buffer.from('position');
export const nothing = new Uint8Array(0);

const indexed: ReadonlySet<RowStatus> = new Set<RowStatus>([
  'pin_error',
  'unpin_error',
  'pinning',
  'unpinning',
  'unexpectedly_unpinned',
]);

/** The key of a row in the index by status, undefined for common statuses. */
export function byStatusKey(cid: Uint8Array, row: StatusRow): Uint8Array | undefined {
  return indexed.has(row.status) ? statusPrefixed(row.status, cid) : undefined;
}

/** In the order of pin keys, as the listings of several peers are merged with each other and shown beside the pins. */
export function statusPrefixed(status: RowStatus, cid: Uint8Array): Uint8Array {
  const place = pinKeyPrefix(cid);
  const key = new Uint8Array(1 + place.length);
  key[0] = statusNumber(status);
  key.set(place, 1);
  return key;
}

export function statusNumber(status: RowStatus): number {
  return rowStatuses.indexOf(status) + 1;
}

export type DueLane = 'pin' | 'unpin';

const dueHeaderBytes = 10;

export function dueKey(cid: Uint8Array, row: StatusRow): Uint8Array {
  const key = new Uint8Array(dueHeaderBytes + cid.length);
  key.set(dueBound(isUnpin(row.status) ? 'unpin' : 'pin', row.flow, row.retryAtMs));
  key.set(cid, dueHeaderBytes);
  return key;
}

/** Before all entries of that lane, flow and time. */
export function dueBound(lane: DueLane, flow: number, timeMs: number): Uint8Array {
  const key = new Uint8Array(dueHeaderBytes);
  key[0] = laneNumber(lane);
  key[1] = flow;
  key.set(numberKey(timeMs), 2);
  return key;
}

/** Behind all entries of that lane. */
export function dueEnd(lane: DueLane): Uint8Array {
  return Uint8Array.of(laneNumber(lane) + 1);
}

export function dueKeyParts(key: Uint8Array): { flow: number; timeMs: number; cid: Uint8Array } {
  return {
    flow: key[1] as number,
    timeMs: numberOf(key.subarray(2, dueHeaderBytes)),
    cid: key.subarray(dueHeaderBytes),
  };
}

function laneNumber(lane: DueLane): number {
  return lane === 'pin' ? 0 : 1;
}

/** A piece of the intake. */
export interface PieceId {
  readonly flow: number;
  readonly number: number;
}

export function intakeKey({ flow, number }: PieceId): Uint8Array {
  const key = new Uint8Array(9);
  key[0] = flow;
  key.set(numberKey(number), 1);
  return key;
}

export function intakeKeyParts(key: Uint8Array): PieceId {
  return { flow: key[0] as number, number: numberOf(key.subarray(1)) };
}

/** 8 bytes, big-endian: orders as the numbers do. */
export function numberKey(value: number): Uint8Array {
  const key = new Uint8Array(8);
  const view = new DataView(key.buffer);
  view.setUint32(0, Math.floor(value / 2 ** 32));
  view.setUint32(4, value % 2 ** 32);
  return key;
}

export function numberOf(key: Uint8Array): number {
  const view = new DataView(key.buffer, key.byteOffset, 8);
  return view.getUint32(0) * 2 ** 32 + view.getUint32(4);
}

/** First key after that one. */
export function after(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

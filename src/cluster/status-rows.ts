import type { StatusRow } from '../../gen/pinfold/peer/v1/service_pb.ts';
import { checkCid } from '../model/cid.ts';
import { invalidField, PinfoldError } from '../model/errors.ts';
import {
  type ErrorClass,
  errorClasses,
  errorClassNumber,
  statusNumbers,
  statusOfNumber,
  type TrackerStatus,
  type WishStatus,
} from '../model/status.ts';
import { type IndexedStatus, indexedStatuses } from '../tracker/tracker.ts';
import { STATUS_ERROR_LENGTH_MAX } from './constants.ts';

/** Status rows as peers send them to each other. */
export function toStatusRow(wish: WishStatus): StatusRow {
  return {
    $typeName: 'pinfold.peer.v1.StatusRow',
    cid: wish.cid,
    status: statusMessage(wish.status),
    attempts: wish.attempts,
    sinceMs: BigInt(wish.sinceMs),
    error: wish.error.slice(0, STATUS_ERROR_LENGTH_MAX),
    errorClass: errorClassNumber(wish.errorClass) as StatusRow['errorClass'],
    retryAtMs: BigInt(wish.retryAtMs),
  };
}

/** The enums of the protocol have the numbers of the model. */
export function statusMessage(status: TrackerStatus): StatusRow['status'] {
  return statusNumbers[status] as StatusRow['status'];
}

/** Throws INTERNAL for what no peer should send. */
export function fromStatusRow(row: StatusRow): WishStatus {
  const status = statusOfNumber(row.status);
  if (status === undefined) throw wrongAnswer(`a status ${row.status} that this version does not know`);
  try {
    checkCid(row.cid);
  } catch (cause) {
    throw wrongAnswer('a row without a CID', cause);
  }
  return {
    cid: row.cid,
    status,
    attempts: row.attempts,
    sinceMs: Number(row.sinceMs),
    error: row.error.slice(0, STATUS_ERROR_LENGTH_MAX),
    errorClass: errorClassOf(row.errorClass),
    retryAtMs: Number(row.retryAtMs),
  };
}

export function wrongAnswer(what: string, cause?: unknown): PinfoldError {
  return new PinfoldError('INTERNAL', `the peer answered with ${what}`, { cause });
}

/** Throws INVALID_ARGUMENT for a status that has no index. */
export function indexedStatusOf(number: number): IndexedStatus {
  const status = statusOfNumber(number);
  if (status !== undefined && isIndexed(status)) return status;
  throw invalidField('statuses', `${status ?? number} is not among those that are indexed`);
}

export function isIndexed(status: TrackerStatus): status is IndexedStatus {
  return (indexedStatuses as readonly TrackerStatus[]).includes(status);
}

function errorClassOf(number: number): ErrorClass | undefined {
  return number === 0 ? undefined : (errorClasses[number - 1] ?? 'other');
}

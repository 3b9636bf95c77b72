import { hash } from 'node:crypto';
import { equalBytes, hex } from '../model/bytes.ts';
import { PinfoldError } from '../model/errors.ts';
import type { PinFilter, PinOrder } from './pinset.ts';

/** Where a listing stands: in which part of its plan, behind which key of that part. */
export interface Position {
  /** Name of the part: the same after a restart, and while namespaces come. */
  part: string;
  key: Uint8Array;
}

const version = 1;
const filterHashBytes = 8;
const checksumBytes = 4;
const partAt = 1 + filterHashBytes;

/** Version, hash of filter and order, part, key, checksum. */
export function encodeCursor(query: { filter: PinFilter; order: PinOrder }, { part, key }: Position): Uint8Array {
  const partBytes = Buffer.from(part, 'latin1');
  const body = Buffer.concat([Buffer.of(version), filterHash(query), Buffer.of(partBytes.length), partBytes, key]);
  return Buffer.concat([body, checksum(body)]);
}

/** Throws INVALID_CURSOR. */
export function decodeCursor(query: { filter: PinFilter; order: PinOrder }, cursor: Uint8Array): Position {
  const body = cursor.subarray(0, -checksumBytes);
  const isWhole = body.length > partAt && equalBytes(checksum(body), cursor.subarray(-checksumBytes));
  if (!isWhole || body[0] !== version) throw invalid('the cursor is damaged, or of another version');
  if (!equalBytes(filterHash(query), body.subarray(1, partAt))) {
    throw invalid('the cursor belongs to a listing with another filter or order');
  }
  const keyAt = partAt + 1 + (body[partAt] as number);
  const part = Buffer.from(body.subarray(partAt + 1, keyAt)).toString('latin1');
  return { part, key: Uint8Array.from(body.subarray(keyAt)) };
}

function invalid(message: string): PinfoldError {
  return new PinfoldError('INVALID_CURSOR', `${message}: list again from the beginning`);
}

function checksum(body: Uint8Array): Uint8Array {
  return hash('sha256', body, 'buffer').subarray(0, checksumBytes);
}

/** The same for filters that mean the same. */
function filterHash({ filter, order }: { filter: PinFilter; order: PinOrder }): Uint8Array {
  const canonical = JSON.stringify([
    order,
    filter.namespaces?.toSorted(),
    filter.cids?.map(hex).sort(),
    filter.nameEquals,
    filter.namePrefix,
    filter.metadata?.map((pair) => [...pair]).sort(),
    filter.createdAfterMs,
    filter.createdBeforeMs,
  ]);
  return hash('sha256', canonical, 'buffer').subarray(0, filterHashBytes);
}

import { hash } from 'node:crypto';
import { equalBytes, hex } from '../model/bytes.ts';
import { PinfoldError } from '../model/errors.ts';
import type { PinKey } from '../model/pin.ts';
import type { PinFilter } from '../pinset/pinset.ts';
import type { StatusFilter } from './status-filter.ts';

/** Where a listing of statuses stands: in the pinset, or in the merged indexes of the peers. */
export type StatusCursor =
  | { mode: 'pins'; cursor: Uint8Array }
  /** Behind this wish; with a key, behind that claim of it. */
  | { mode: 'wishes'; cid: Uint8Array; key: PinKey | undefined };

interface CursorQuery extends StatusFilter {
  filter: PinFilter;
  peerIds: readonly string[];
}

const modes = { pins: 1, wishes: 2 } as const;
const hashBytes = 8;
const checksumBytes = 4;

/** Mode, hash of the query, then the pinset's cursor, or length of CID, CID and key; checksum. */
export function encodeStatusCursor(query: CursorQuery, cursor: StatusCursor): Uint8Array {
  const rest =
    cursor.mode === 'pins'
      ? [cursor.cursor]
      : [Uint8Array.of(cursor.cid.length), cursor.cid, cursor.key ?? new Uint8Array()];
  const body = Buffer.concat([Uint8Array.of(modes[cursor.mode]), queryHash(query), ...rest]);
  return new Uint8Array(Buffer.concat([body, checksum(body)]));
}

/** Throws INVALID_CURSOR. */
export function decodeStatusCursor(query: CursorQuery, bytes: Uint8Array): StatusCursor {
  const body = bytes.subarray(0, -checksumBytes);
  const isWhole = body.length > 1 + hashBytes && equalBytes(checksum(body), bytes.subarray(-checksumBytes));
  if (!isWhole) throw invalid('the cursor is damaged, or of another listing');
  if (!equalBytes(queryHash(query), body.subarray(1, 1 + hashBytes))) {
    throw invalid('the cursor belongs to a listing with another filter');
  }
  const rest = body.slice(1 + hashBytes);
  if (body[0] === modes.pins) return { mode: 'pins', cursor: rest };
  const cidEnd = 1 + (rest[0] as number);
  const key = rest.subarray(cidEnd);
  return { mode: 'wishes', cid: rest.subarray(1, cidEnd), key: key.length === 0 ? undefined : key };
}

function invalid(message: string): PinfoldError {
  return new PinfoldError('INVALID_CURSOR', `${message}: list again from the beginning`);
}

function checksum(body: Uint8Array): Uint8Array {
  return hash('sha256', body, 'buffer').subarray(0, checksumBytes);
}

function queryHash({ filter, statuses, sinceAfterMs, sinceBeforeMs, peerIds }: CursorQuery): Uint8Array {
  const canonical = JSON.stringify([
    { ...filter, cids: filter.cids?.map(hex).sort(), namespaces: filter.namespaces?.toSorted() },
    statuses.toSorted(),
    peerIds.toSorted(),
    sinceAfterMs,
    sinceBeforeMs,
  ]);
  return hash('sha256', canonical, 'buffer').subarray(0, hashBytes);
}

import { PinfoldError } from '../model/errors.ts';
import { errorClasses } from '../model/status.ts';
import { FLOWS } from './flow.ts';
import { rowStatuses, type StatusRow } from './status-row.ts';

const helds = ['none', 'recursive', 'direct'] as const;

/**
 * pinfold.store.v1.StatusValue by hand, as each settled pin passes here: the same bytes as the generated code makes.
 * Fields in order, defaults left out.
 */
export function encodeStatusRow(row: StatusRow): Uint8Array {
  const error = row.error === '' ? undefined : Buffer.from(row.error, 'utf8');
  const bytes = new Uint8Array(40 + (error?.length ?? 0));
  let at = putField(bytes, 0, 1, rowStatuses.indexOf(row.status) + 1);
  at = putField(bytes, at, 2, row.sinceMs);
  at = putField(bytes, at, 3, row.attempts);
  at = putField(bytes, at, 4, row.errorClass === undefined ? 0 : errorClasses.indexOf(row.errorClass) + 1);
  if (error !== undefined) {
    bytes[at++] = (5 << 3) | 2;
    at = putVarint(bytes, at, error.length);
    bytes.set(error, at);
    at += error.length;
  }
  at = putField(bytes, at, 6, row.retryAtMs);
  at = putField(bytes, at, 7, helds.indexOf(row.held));
  at = putField(bytes, at, 8, row.flow);
  return bytes.slice(0, at);
}

/** Throws DATA_CORRUPT. */
export function decodeStatusRow(bytes: Uint8Array): StatusRow {
  const fields = [0, 0, 0, 0, 0, 0, 0, 0, 0];
  let error = '';
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 49; scale *= 128) {
      const byte = bytes[at++];
      if (byte === undefined) throw damaged();
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw damaged();
  };
  while (at < bytes.length) {
    const tag = varint();
    if (tag === ((5 << 3) | 2)) {
      const length = varint();
      if (at + length > bytes.length) throw damaged();
      error = Buffer.from(bytes.buffer, bytes.byteOffset + at, length).toString('utf8');
      at += length;
    } else {
      const field = tag >> 3;
      if ((tag & 7) !== 0 || field === 0 || field > 8) throw damaged();
      fields[field] = varint();
    }
  }
  return rowOf(fields, error);
}

function rowOf(fields: readonly number[], error: string): StatusRow {
  const [, status = 0, sinceMs = 0, attempts = 0, errorClass = 0, , retryAtMs = 0, heldNumber = 0, flow = 0] = fields;
  const name = rowStatuses[status - 1];
  const held = helds[heldNumber];
  if (name === undefined || held === undefined || errorClass > errorClasses.length || flow >= FLOWS) throw damaged();
  return { status: name, sinceMs, attempts, errorClass: errorClasses[errorClass - 1], error, retryAtMs, held, flow };
}

function putField(bytes: Uint8Array, at: number, field: number, value: number): number {
  if (value === 0) return at;
  bytes[at] = field << 3;
  return putVarint(bytes, at + 1, value);
}

function putVarint(bytes: Uint8Array, start: number, number: number): number {
  let at = start;
  let value = number;
  while (value >= 128) {
    bytes[at++] = (value % 128) | 128;
    value = Math.floor(value / 128);
  }
  bytes[at++] = value;
  return at;
}

function damaged(): PinfoldError {
  return new PinfoldError('DATA_CORRUPT', 'a row of the status index is damaged');
}

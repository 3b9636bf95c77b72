import { PinfoldError } from '../model/errors.ts';
import { BOUND_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX } from './constants.ts';
import type { Range } from './storage.ts';

/** Breaking these is a defect of the caller, not an operating error: hence plain errors. */
export function checkKey(key: Uint8Array): void {
  if (key.length === 0 || key.length > KEY_BYTES_MAX) {
    throw new RangeError(`a key of ${key.length} bytes: a key has 1 to ${KEY_BYTES_MAX} bytes`);
  }
}

export function checkValue(value: Uint8Array): void {
  if (value.length > VALUE_BYTES_MAX) {
    throw new RangeError(`a value of ${value.length} bytes: a value has at most ${VALUE_BYTES_MAX} bytes`);
  }
}

export function checkRange({ from, to, limit }: Range): void {
  const bytes = Math.max(from?.length ?? 0, to?.length ?? 0);
  if (bytes > BOUND_BYTES_MAX) {
    throw new RangeError(`a range bound of ${bytes} bytes: a bound has at most ${BOUND_BYTES_MAX} bytes`);
  }
  if (limit !== undefined && !(limit >= 0)) throw new RangeError(`a range limit of ${limit}`);
}

export function nestedTransaction(): Error {
  return new Error('a transaction inside a transaction');
}

export function outsideTransaction(): Error {
  return new Error('a transaction was used after its function had returned');
}

export function writeOnlyTable(table: string): Error {
  return new Error(`table ${table} is declared writeOnly: a transaction cannot read it`);
}

export function unknownTable(table: string): Error {
  return new Error(`table ${table} was not declared when the store was opened`);
}

export function storageClosed(): PinfoldError {
  return new PinfoldError('STORAGE_FAILED', 'the store is closed');
}

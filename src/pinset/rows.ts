import { hex } from '../model/bytes.ts';
import { formatCid } from '../model/cid.ts';
import { isPinfoldError, PinfoldError } from '../model/errors.ts';
import type { PinKey } from '../model/pin.ts';
import { pinKeyParts } from '../model/pin-key.ts';
import { decodePinRow } from './codec/pin-row.ts';
import type { IndexedFields } from './codec/pin-value.ts';
import { Malformed } from './codec/reader.ts';
import type { StoredNames } from './names.ts';
import type { LiveDot, PinRow } from './pinset.ts';

const emptyRow: PinRow = [];

/** A row as it was read. Throws DATA_CORRUPT, naming the pin. */
export function rowFromDisk(names: StoredNames, key: PinKey, bytes: Uint8Array | undefined): PinRow {
  if (bytes === undefined) return emptyRow;
  try {
    const row = decodePinRow(bytes);
    for (const dot of row) checkNumbers(names, dot);
    return row;
  } catch (cause) {
    throw cause instanceof Malformed ? corruptPin(key, cause) : cause;
  }
}

function checkNumbers(names: StoredNames, dot: LiveDot): void {
  // No other peer would read them.
  if (dot.sequence < 1 || dot.stamp < 1) throw new Malformed('a dot without sequence or stamp');
  if (!names.replicas.has(dot.replica) || !names.replicas.has(dot.placementReplica)) {
    throw new Malformed('a replica that was never met');
  }
  for (const peer of dot.allocations) {
    if (!names.peers.has(peer)) throw new Malformed('a peer that was never met');
  }
}

/** Reads the fields of a stored value. Throws DATA_CORRUPT, naming the pin. */
export function readFields(fields: IndexedFields, key: PinKey, value: Uint8Array): void {
  try {
    fields.read(value);
  } catch (cause) {
    throw cause instanceof Malformed ? corruptPin(key, cause) : cause;
  }
}

/** Undefined: the row is damaged, which is left to the scrub to tell. */
export function unlessCorrupt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (problem) {
    if (!isPinfoldError(problem, 'DATA_CORRUPT')) throw problem;
    return undefined;
  }
}

export function corruptPin(key: PinKey, cause: Error): PinfoldError {
  return new PinfoldError(
    'DATA_CORRUPT',
    `the row of the pin ${pinNamed(key)} is damaged (${cause.message}). Check the disk, then let this peer rebuild its pinset from the others`,
    { cause, facts: { pin_key: hex(key) } },
  );
}

/** For people. */
export function pinNamed(key: PinKey): string {
  try {
    const { cid, namespace } = pinKeyParts(key);
    return `${formatCid(cid)} in namespace ${namespace}`;
  } catch {
    // The key itself may be what is damaged.
    return `with the key ${hex(key)}`;
  }
}

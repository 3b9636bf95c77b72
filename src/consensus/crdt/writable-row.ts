import { isPinfoldError } from '../../model/errors.ts';
import type { PinKey } from '../../model/pin.ts';
import { IndexedFields } from '../../pinset/codec/pin-value.ts';
import type { PinRow } from '../../pinset/pinset.ts';
import { corruptPin, readFields } from '../../pinset/rows.ts';
import type { Transaction } from '../../storage/storage.ts';
import type { Outcome } from '../consensus.ts';
import type { CrdtStore } from './state/store.ts';

const fields = new IndexedFields();

/**
 * The row of a key, for an own operation to be built on. Throws DATA_CORRUPT where it is damaged, which also what it holds beyond C
 * shows (I1): an operation that sees such a dot would be taken in by nobody, nor what its author writes afterwards (R6).
 */
export function writableRow({ needs, replicas }: CrdtStore, tx: Transaction, key: PinKey): PinRow {
  const row = needs.pinset.row(tx, key);
  for (const { replica, sequence, value } of row) {
    readFields(fields, key, value);
    const covered = replicas.byNumber(replica)?.sequence ?? 0;
    if (sequence > covered)
      throw corruptPin(key, new Error(`operation ${sequence} of an author of whom ${covered} are known`));
  }
  return row;
}

/** A row that is damaged is the trouble of who writes to it, and of nobody else in the batch. */
export function unlessDamaged<T>(decide: () => T): T | Outcome {
  try {
    return decide();
  } catch (problem) {
    if (!isPinfoldError(problem, 'DATA_CORRUPT')) throw problem;
    return { ok: false, error: problem };
  }
}

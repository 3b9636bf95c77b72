import { PinfoldError } from '../../../model/errors.ts';
import type { Reader, Transaction } from '../../../storage/storage.ts';
import { selfTable } from '../tables.ts';

const FORMAT = 1;
const key = Buffer.from('self');

/** What the store knows of itself. */
export interface Self {
  /** Own incarnations, 8 bytes each, the current one last (4.8). */
  incarnations: Uint8Array[];
  /** N1. */
  identityStamp: Uint8Array;
  /** Last stamp issued (5.1). */
  lastStamp: number;
}

export function putSelf(tx: Transaction, self: Self): void {
  const row = {
    format: FORMAT,
    consensus: 'crdt',
    incarnations: self.incarnations.map((bytes) => Buffer.from(bytes).toString('hex')),
    identityStamp: Buffer.from(self.identityStamp).toString('hex'),
    lastStamp: self.lastStamp,
  };
  tx.put(selfTable, key, Buffer.from(JSON.stringify(row)));
}

/** Throws DATA_CORRUPT. */
export function readSelf(reader: Reader): Self | undefined {
  const bytes = reader.get(selfTable, key);
  if (bytes === undefined) return undefined;
  try {
    const row = JSON.parse(Buffer.from(bytes).toString());
    if (row.format !== FORMAT) throw new Error(`format ${row.format}`);
    return {
      incarnations: row.incarnations.map((text: string) => Uint8Array.from(Buffer.from(text, 'hex'))),
      identityStamp: Uint8Array.from(Buffer.from(row.identityStamp, 'hex')),
      lastStamp: row.lastStamp,
    };
  } catch (cause) {
    throw new PinfoldError('DATA_CORRUPT', 'the row of the table crdt_self cannot be read', { cause });
  }
}

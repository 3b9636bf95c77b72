import { hash } from 'node:crypto';
import type { Transaction } from '../../storage/storage.ts';
import { encodeHeader } from './codec/header.ts';
import { type BatchParts, encodeSignedBatch } from './codec/signed-batch.ts';
import { incSince, ownHeader } from './core/own-header.ts';
import type { TransactionRows } from './core/rows.ts';
import { logKey } from './state/keys.ts';
import type { ClockStep } from './state/replicas.ts';
import { putSelf } from './state/self.ts';
import type { CrdtStore } from './state/store.ts';
import { logTable } from './tables.ts';

/** An own batch, in its transaction and nowhere else yet. */
export interface SealedBatch {
  readonly batch: BatchParts;
  /** As the log keeps it. */
  readonly encoded: Uint8Array;
  readonly step: ClockStep;
}

/** What has its operations and numbers, and lacks only header and signature. */
export interface BuiltBatch {
  readonly last: number;
  readonly lastStamp: number;
  /** The operations' bytes; once. */
  take(): Uint8Array;
}

/** C2: inc, signature, log, own C and H, pins. */
export function sealBatch(
  tx: Transaction,
  store: CrdtStore,
  signer: { sign(bytes: Uint8Array): Uint8Array },
  builder: BuiltBatch,
  rows: TransactionRows,
): SealedBatch {
  const { own, self } = store;
  const { last, lastStamp } = builder;
  const ops = builder.take();
  const inc = incSince(store.replicas.sorted(), own, (replica) => store.incBase.get(replica) ?? 0);
  const header = encodeHeader(ownHeader(store.author, own, { last, ops, inc }));
  const batch = { header, signature: signer.sign(header), ops };
  const encoded = encodeSignedBatch(batch);
  const step = { replica: own, sequence: last, hash: hash('sha256', header, 'buffer') };
  store.signatures.note({ hash: step.hash, signature: batch.signature });
  tx.put(logTable, logKey(own.number, last), encoded);
  store.replicas.put(tx, step);
  putSelf(tx, { ...self, lastStamp });
  store.needs.pinset.write(tx, rows.changes());
  store.touched.note(rows);
  return { batch, encoded, step };
}

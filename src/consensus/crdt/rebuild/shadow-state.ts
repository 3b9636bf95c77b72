import type { PinKey } from '../../../model/pin.ts';
import type { Commit, Reader, Transaction } from '../../../storage/storage.ts';
import type { ClockStep, Replicas } from '../state/replicas.ts';
import { shadowTable } from '../tables.ts';
import { ChangedKeys } from './changed-keys.ts';
import { ShadowClock } from './shadow-clock.ts';
import { decodeShadowRow, encodeShadowRow } from './shadow-row.ts';

const key = Buffer.from('shadow');

/** What is known of a shadow beside its tables: clocks, why it stands, and what its swap may change. Kept in one row. */
export class ShadowState {
  readonly isJoin: boolean;
  readonly clock: ShadowClock;
  readonly changed: ChangedKeys;

  constructor(isJoin: boolean, clock = new ShadowClock(), changed = new ChangedKeys({ isEverything: isJoin })) {
    this.isJoin = isJoin;
    this.clock = clock;
    this.changed = changed;
  }

  /** Undefined: there is none. Throws DATA_CORRUPT. */
  static load(reader: Reader, replicas: Replicas): ShadowState | undefined {
    const bytes = reader.get(shadowTable, key);
    if (bytes === undefined) return undefined;
    const row = decodeShadowRow(bytes);
    const clock = new ShadowClock();
    const entries = row.entries.map((entry) => ({
      ...entry,
      replica: replicas.ensure(entry.replica),
      flushedSequence: entry.sequence,
    }));
    if (row.isBegun) clock.restored(entries);
    return new ShadowState(row.isJoin, clock, new ChangedKeys(row));
  }

  /** Writes the row as it is after these steps, and lists the keys; the steps are taken when the transaction is queued. */
  put(tx: Transaction, steps: readonly ClockStep[] = [], changed: readonly PinKey[] = []): void {
    this.changed.list(tx, changed);
    const entries = steps.length === 0 ? this.clock.entries() : this.clock.after(steps);
    const { isJoin, clock } = this;
    const { isEverything, sinceRevision, keysListed, keyRows } = this.changed;
    const row = { isJoin, isBegun: clock.isBegun, isEverything, sinceRevision, keysListed, keyRows, entries };
    tx.put(shadowTable, key, encodeShadowRow(row));
  }

  /** A transaction with `put` was queued. Its clock may be told when it is flushed (F1). */
  queued(commit: Commit<unknown>, steps: readonly ClockStep[] = []): void {
    for (const step of steps) this.clock.step(step);
    const entries = this.clock.entries().map((entry) => ({ ...entry }));
    commit.flushed.then(
      () => this.clock.flushed(entries),
      () => {}, // Whoever wrote it is told.
    );
  }

  static remove(tx: Transaction): void {
    tx.remove(shadowTable, key);
  }
}

import { applyOperations, unseenDot } from '../../../src/consensus/crdt/core/apply.ts';
import { judge, type Verdict } from '../../../src/consensus/crdt/core/judge.ts';
import { TransactionRows } from '../../../src/consensus/crdt/core/rows.ts';
import { type Operation, PIN } from '../../../src/consensus/crdt/core/types.ts';
import type { PinKey } from '../../../src/model/pin.ts';
import { isPlanted } from '../planted.ts';
import { type KnownBatch, knownBatch } from '../world/batches.ts';
import { SlotClock, type Slots, sequenceOf, slotAfter } from '../world/clocks.ts';
import { keyNumber, names } from '../world/names.ts';
import { rowNumber, rowOf } from '../world/rows.ts';
import { type Shadow, type Store, storeOf } from '../world/store.ts';

/** R1 to R6 for one batch: what came of it. */
export type Taken = Store | Exclude<Verdict, 'apply'> | 'erred';

/** Into the live tables. */
export function take(store: Store, id: number): Taken {
  return store.once(id * 8, () => {
    const { clock, rows, log, shadow } = store.value;
    const known = knownBatch(id);
    if (isPlanted('batch-split') && known.last > known.first) return half(store, known);
    const verdict = verdictOn(clock, known);
    if (verdict !== 'apply') return verdict;
    const after = applied(rows, known, () => true);
    const value = { ...store.value, clock: stepped(clock, id), rows: after, log: withBatch(log, id) };
    return storeOf({ ...value, shadow: shadow && withNamed(shadow, liveNamed(known)) });
  });
}

/** B3: into the shadow, and into the log. Ranges not filled yet are left alone. */
export function takeIntoShadow(store: Store, id: number): Taken {
  return store.once(id * 8 + 1, () => {
    const { clock, log } = store.value;
    const shadow = store.value.shadow as Shadow;
    const known = knownBatch(id);
    const verdict = verdictOn(shadow.taken, known);
    if (verdict !== 'apply') return verdict;
    const rows = applied(shadow.rows, known, (key) => keyNumber(key) < shadow.next);
    const isNew = known.last > sequenceOf(clock[known.replica] as number);
    const named = isNew && !isPlanted('feed-forgets-tail') ? namedBy(known) : 0;
    const after = withNamed({ ...shadow, taken: stepped(shadow.taken, id), rows }, named);
    return storeOf({ ...store.value, log: withBatch(log, id), shadow: after });
  });
}

/** The fault batch-split: one operation at a time. */
function half(store: Store, known: KnownBatch): Taken {
  const { clock, rows, log } = store.value;
  const sequence = sequenceOf(clock[known.replica] as number);
  const isBegun = sequence >= known.first && sequence < known.last;
  const verdict = isBegun ? 'apply' : verdictOn(clock, known);
  if (verdict !== 'apply') return verdict;
  const position = isBegun ? sequence + 1 - known.first : 0;
  const { operations } = known.content;
  const one = { ...known, content: { ...known.content, operations: operations.slice(position, position + 1) } };
  const tables = { ...known.tables, first: known.first + position };
  const slot = slotAfter(known.id, operations.length - 1 - position);
  const after = applied(rows, { ...one, tables }, () => true);
  return storeOf({
    ...store.value,
    clock: clock.with(known.replica, slot),
    rows: after,
    log: withBatch(log, known.id),
  });
}

/** The fault superseded-left-out: whether a source would leave the batch out. */
export function isDead(stores: readonly Store[], id: number): boolean {
  const { replica, last, content } = knownBatch(id);
  const [{ kind, key }] = content.operations as [Operation];
  return stores.some(({ value, sequences }) => {
    const row = rowOf(value.rows[keyNumber(key)] as number);
    const isLive = row.some((dot) => dot.replica === replica && dot.sequence === last);
    return kind === PIN && (sequences[replica] as number) >= last && !isLive;
  });
}

/** The same: the clock moves past it all the same. */
export function leftOut(store: Store, id: number): Taken {
  const { clock, log } = store.value;
  const verdict = verdictOn(clock, knownBatch(id));
  if (verdict !== 'apply') return verdict;
  return storeOf({ ...store.value, clock: stepped(clock, id), log: withBatch(log, id) });
}

export function withBatch(log: readonly number[], id: number): number[] {
  return log.includes(id) ? [...log] : [...log, id];
}

function stepped(clock: Slots, id: number): Slots {
  return clock.with(knownBatch(id).replica, slotAfter(id));
}

function verdictOn(clock: Slots, { batch, content, tables, replica, first }: KnownBatch): Verdict | 'erred' {
  const verdict = judge(new SlotClock(clock), batch);
  if (verdict !== 'apply') return verdict;
  const own = { ridPosition: tables.replicas.indexOf(replica), first };
  const covered = (position: number) => sequenceOf(clock[tables.replicas[position] as number] as number);
  return unseenDot(content.operations, covered, own) === undefined ? 'apply' : 'erred';
}

function applied(rows: readonly number[], known: KnownBatch, isTaken: (key: PinKey) => boolean): number[] {
  const transaction = new TransactionRows();
  applyInto(transaction, rows, known, isTaken);
  return changedRows(rows, transaction);
}

/** R6 in a transaction that may have begun. */
export function applyInto(
  transaction: TransactionRows,
  rows: readonly number[],
  { content, tables }: KnownBatch,
  isTaken: (key: PinKey) => boolean,
): void {
  const read = (key: PinKey) => rowOf(rows[keyNumber(key)] as number);
  const entry = (key: PinKey) => transaction.entry(key, read);
  applyOperations(content.operations, entry, tables, names.replicas, isTaken);
}

/** Writes what production would: the rows that the transaction says it changed. */
export function changedRows(rows: readonly number[], transaction: TransactionRows): number[] {
  const after = [...rows];
  for (const { key, after: row } of transaction.changes()) after[keyNumber(key)] = rowNumber(row);
  return after;
}

/** The live rows take it in while a shadow stands: the feed row of the swap names it once more. */
export function liveNamed(known: KnownBatch): number {
  return isPlanted('feed-forgets-live') ? 0 : namedBy(known);
}

export function withNamed(shadow: Shadow, named: number): Shadow {
  return { ...shadow, named: shadow.named | named };
}

/** Keys that a batch touches: a bit each. */
function namedBy({ content }: KnownBatch): number {
  return content.operations.reduce((bits, { key }) => bits | (1 << keyNumber(key)), 0);
}

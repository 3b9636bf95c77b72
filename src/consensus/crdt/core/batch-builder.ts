import { equalBytes } from '../../../model/bytes.ts';
import { invalidField, isPinfoldError, PinfoldError } from '../../../model/errors.ts';
import { type PinFields, pinLimits } from '../../../model/pin.ts';
import { checkPinFields } from '../../../model/validate-pin.ts';
import { checkPinValue, decodePinValue, encodePinValue } from '../../../pinset/codec/pin-value.ts';
import type { LiveDot, PinRow } from '../../../pinset/pinset.ts';
import type { Op, Request } from '../../consensus.ts';
import { BATCH_BYTES_MAX, OPS_PER_BATCH_MAX, SEES_MAX } from '../constants.ts';
import { type LocalOperation, OperationWriter, type Tables } from './operation-writer.ts';
import { byDot, dotsOf, emptyRow, greatestStamp, type RowEntry, withPlacement } from './rows.ts';
import { nextStamp } from './stamps.ts';
import { AMEND, PIN, UNPIN } from './types.ts';

export interface BatchBuilderInit {
  /** Local number of the own replica, and the sequence of the first operation. */
  replica: number;
  first: number;
  /** Last stamp that the own clock gave: not one that only exceeds what others put on a key. */
  lastStamp: number;
  nowMs: number;
  /** This peer knows that it lacks something: an etag that does not match may be one that it has not seen yet. */
  isBehind: boolean;
  tables: Tables;
  peerNumber(peerId: string): number;
  shownDot(row: PinRow): LiveDot | undefined;
  etag(key: Uint8Array, row: PinRow): Uint8Array;
}

/** What a request did: the row that its outcome shows, and the sequence of its last operation. */
export interface Done {
  key: Uint8Array;
  /** As stored (pin, amend), as it was (unpin); undefined when nothing was done. */
  row: PinRow | undefined;
  sequence: number;
}

/** The batch has no room for it: it goes into the next one. */
export const full = Symbol('full');

const noDots: readonly number[] = [];

/** C1: decides requests on the rows as they are inside the transaction and collects their operations to one batch. */
export class BatchBuilder {
  readonly #init: BatchBuilderInit;
  readonly #writer: OperationWriter;
  #sequence: number;
  #stamp: number;
  // What a request changed so far, to be taken back if one of its operations cannot be.
  readonly #undoEntries: RowEntry[] = [];
  readonly #undoRows: PinRow[] = [];
  /** Filled again for each operation; the writer keeps nothing of it. */
  readonly #operation: LocalOperation = {
    kind: 0,
    key: new Uint8Array(0),
    sees: noDots,
    stamp: 0,
    value: undefined,
    allocations: noDots,
    idempotency: undefined,
  };

  constructor(init: BatchBuilderInit) {
    this.#init = init;
    this.#writer = new OperationWriter(init.tables);
    this.#sequence = init.first - 1;
    this.#stamp = init.lastStamp;
  }

  get operations(): number {
    return this.#sequence - this.#init.first + 1;
  }

  /** Sequence of the last operation. */
  get last(): number {
    return this.#sequence;
  }

  get lastStamp(): number {
    return this.#stamp;
  }

  /** The operations' bytes. Ends the building. */
  take(): Uint8Array {
    return this.#writer.take();
  }

  /** Does a request, whose operations are on `entries`, wholly or not at all. */
  add(request: Request, entries: readonly RowEntry[]): Done | PinfoldError | typeof full {
    if (this.operations + request.ops.length > OPS_PER_BATCH_MAX) return full;
    const { mark } = this.#writer;
    const sequence = this.#sequence;
    const stamp = this.#stamp;
    const done = this.#do(request, entries);
    const isLarge = this.#writer.bytes > BATCH_BYTES_MAX;
    if (!isLarge && !(done instanceof PinfoldError)) {
      this.#note(request, sequence);
      return done;
    }
    for (let i = this.#undoEntries.length - 1; i >= 0; i--) {
      (this.#undoEntries[i] as RowEntry).after = this.#undoRows[i] as PinRow;
    }
    this.#writer.rollback(mark);
    this.#sequence = sequence;
    this.#stamp = stamp;
    if (done instanceof PinfoldError) return done;
    return this.operations > 0 ? full : invalidField('ops', `more than a batch holds (${BATCH_BYTES_MAX} bytes)`);
  }

  #note({ stream }: Request, sequenceBefore: number): void {
    const operations = this.#sequence - sequenceBefore;
    if (stream === undefined || operations === 0) return;
    this.#writer.run(stream.key, stream.number, sequenceBefore + 1 - this.#init.first, operations);
  }

  #do(request: Request, entries: readonly RowEntry[]): Done | PinfoldError {
    this.#undoEntries.length = 0;
    this.#undoRows.length = 0;
    const firstEntry = entries[0] as RowEntry;
    const refusal = request.condition === undefined ? undefined : this.#unmet(request.condition, firstEntry);
    if (refusal !== undefined) return refusal;
    const before = firstEntry.after;
    const sequence = this.#sequence;
    for (let i = 0; i < request.ops.length; i++) {
      this.#operation.idempotency = i === 0 ? request.idempotency?.key : undefined;
      const problem = this.#doOne(request.ops[i] as Op, entries[i] as RowEntry);
      if (problem !== undefined) return problem;
    }
    const isDone = this.#sequence > sequence;
    const shown = (request.ops[0] as Op).kind === 'unpin' ? before : firstEntry.after;
    return { key: firstEntry.key, row: isDone ? shown : undefined, sequence: this.#sequence };
  }

  /** 6.2. A peer cannot tell an old etag from one that it has yet to see, but it knows whether it lacks something. */
  #unmet(condition: NonNullable<Request['condition']>, { key, after }: RowEntry): PinfoldError | undefined {
    if (condition.kind === 'if-absent') {
      return after.length === 0 ? undefined : new PinfoldError('CONDITION_FAILED', 'the pin is there already');
    }
    if (after.length > 0 && equalBytes(this.#init.etag(key, after), condition.etag)) return undefined;
    if (this.#init.isBehind) {
      return new PinfoldError('ETAG_UNKNOWN', 'this peer has not taken in all that the others have; try again', {
        retryAfterMs: 1_000,
      });
    }
    const what = after.length === 0 ? 'there is no such pin' : 'the pin was changed since that etag';
    return new PinfoldError('CONDITION_FAILED', what);
  }

  #doOne(op: Op, entry: RowEntry): PinfoldError | undefined {
    if (op.kind === 'pin') return this.#pin(op, entry);
    if (op.kind === 'unpin') return this.#unpin(entry);
    if (op.kind === 'amend') return this.#amend(op, entry);
    return this.#expire(op, entry);
  }

  #pin(op: Op & { kind: 'pin' }, entry: RowEntry): PinfoldError | undefined {
    let value: Uint8Array;
    let allocations: number[];
    try {
      checkPinFields(op.fields);
      value = encodePinValue(op.fields);
      // As every other peer will judge it: bytes can be wrong where fields were right (texts that are no UTF-8, huge numbers).
      if (!isPlain(op.fields)) checkPinValue(value);
      allocations = this.#peerNumbers(op.allocations);
    } catch (problem) {
      if (isPinfoldError(problem)) return problem;
      throw problem;
    }
    const row = entry.after;
    const refusal = this.#unwritable(row, PIN) ?? checkAllocations(allocations);
    if (refusal !== undefined) return refusal;
    const stamp = this.#write(PIN, entry, row.length === 0 ? noDots : dotsOf(row), value, allocations);
    const replica = this.#init.replica;
    const sequence = this.#sequence;
    const dot = { replica, sequence, stamp, value, placementStamp: stamp, placementReplica: replica, allocations };
    this.#set(entry, [dot]);
    return undefined;
  }

  #unpin(entry: RowEntry): PinfoldError | undefined {
    if (entry.after.length === 0) return new PinfoldError('PIN_NOT_FOUND', 'no such pin');
    const refusal = this.#unwritable(entry.after, UNPIN);
    if (refusal !== undefined) return refusal;
    this.#write(UNPIN, entry, dotsOf(entry.after), undefined, noDots);
    this.#set(entry, emptyRow);
    return undefined;
  }

  /** Writes into the shown dot only, with a stamp above its placement's, so that it wins over what it saw (5.2). */
  #amend(op: Op & { kind: 'amend' }, entry: RowEntry): PinfoldError | undefined {
    const row = entry.after;
    const shown = this.#init.shownDot(row);
    if (shown === undefined || !equalBytes(this.#init.etag(entry.key, row), op.basis)) return undefined;
    let allocations: number[];
    try {
      allocations = this.#peerNumbers(op.allocations);
    } catch (problem) {
      if (isPinfoldError(problem)) return problem;
      throw problem;
    }
    const refusal = this.#unwritable(row, AMEND) ?? checkAllocations(allocations);
    if (refusal !== undefined) return refusal;
    const placementStamp = this.#write(AMEND, entry, [shown.replica, shown.sequence], undefined, allocations);
    const amended = withPlacement(shown, { placementStamp, placementReplica: this.#init.replica, allocations });
    this.#set(entry, [...row.filter((dot) => dot !== shown), amended].sort(byDot));
    return undefined;
  }

  /** An unpin that sees only dots that have themselves expired (5.3): what was renewed concurrently stays. */
  #expire(op: Op & { kind: 'expire' }, entry: RowEntry): PinfoldError | undefined {
    const row = entry.after;
    if (row.length === 0 || !equalBytes(this.#init.etag(entry.key, row), op.basis)) return undefined;
    const isExpired = ({ value }: LiveDot) => {
      const { expiresMs } = decodePinValue(value);
      return expiresMs > 0 && expiresMs <= this.#init.nowMs;
    };
    const expired = row.filter(isExpired);
    if (expired.length === 0) return undefined;
    const refusal = this.#unwritable(expired, UNPIN);
    if (refusal !== undefined) return refusal;
    this.#write(UNPIN, entry, dotsOf(expired), undefined, noDots);
    this.#set(
      entry,
      row.filter((dot) => !expired.includes(dot)),
    );
    return undefined;
  }

  /** An operation that no peer would ever take (section 3, Valid) must not be written: its author would be stuck behind it. */
  #unwritable(row: PinRow, kind: number): PinfoldError | undefined {
    if (row.length > SEES_MAX) return new PinfoldError('LIMIT_REACHED', 'too many concurrent versions of this pin');
    if (kind !== UNPIN && row.length > 0 && greatestStamp(row) >= Number.MAX_SAFE_INTEGER) {
      return new PinfoldError('LIMIT_REACHED', 'the stamps of this pin are used up; unpin it first');
    }
    return undefined;
  }

  #peerNumbers(peerIds: readonly string[]): number[] {
    const numbers = new Array<number>(peerIds.length);
    for (let i = 0; i < peerIds.length; i++) numbers[i] = this.#init.peerNumber(peerIds[i] as string);
    return numbers;
  }

  /** Gives the operation its sequence and its stamp. */
  #write(
    kind: number,
    { key, after }: RowEntry,
    sees: readonly number[],
    value: Uint8Array | undefined,
    allocations: readonly number[],
  ): number {
    const operation = this.#operation;
    this.#sequence++;
    const greatest = after.length === 0 ? 0 : greatestStamp(after);
    // What exceeds a key's stamps is not "issued" for the next key: a wrong clock spoils only the keys that its author touches.
    const stamp = Math.min(nextStamp(this.#init.nowMs, this.#stamp, greatest), Number.MAX_SAFE_INTEGER);
    this.#stamp = nextStamp(this.#init.nowMs, this.#stamp, 0);
    operation.kind = kind;
    operation.key = key;
    operation.sees = sees;
    operation.stamp = stamp;
    operation.value = value;
    operation.allocations = allocations;
    this.#writer.operation(operation);
    return stamp;
  }

  #set(entry: RowEntry, row: PinRow): void {
    this.#undoEntries.push(entry);
    this.#undoRows.push(entry.after);
    entry.after = row;
  }
}

function checkAllocations(allocations: readonly number[]): PinfoldError | undefined {
  if (allocations.length <= 1) return undefined;
  if (allocations.length > pinLimits.allocationsMax) {
    return invalidField('allocations', `${allocations.length} peers; at most ${pinLimits.allocationsMax} are allowed`);
  }
  return new Set(allocations).size === allocations.length
    ? undefined
    : invalidField('allocations', 'a peer stands twice');
}

/**
 * A short name, times and factors of usual size, and nothing else: once the fields are right, so are their bytes. It spares most pins of a
 * bulk stream the reading of what was just written.
 */
function isPlain(fields: PinFields): boolean {
  const { name, createdMs, expiresMs, replicationMin, replicationMax, updatedFrom } = fields;
  return (
    fields.metadata.length === 0 &&
    fields.userAllocations.length === 0 &&
    fields.origins.length === 0 &&
    updatedFrom === undefined &&
    name.length * 3 <= pinLimits.nameBytesMax &&
    isUsual(createdMs) &&
    isUsual(expiresMs) &&
    replicationMin <= pinLimits.allocationsMax &&
    replicationMax <= pinLimits.allocationsMax
  );
}

/** Milliseconds up to the year 10889. */
function isUsual(ms: number): boolean {
  return Number.isInteger(ms) && ms >= 0 && ms < 2 ** 48;
}

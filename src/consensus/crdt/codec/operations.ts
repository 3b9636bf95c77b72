import { byteString } from '../../../model/bytes.ts';
import { isPeerIdBytes } from '../../../model/peer-id.ts';
import { pinLimits } from '../../../model/pin.ts';
import { checkPinKey } from '../../../model/pin-key.ts';
import { checkPinValue } from '../../../pinset/codec/pin-value.ts';
import { Malformed, Reader } from '../../../pinset/codec/reader.ts';
import { IDEMPOTENCY_KEY_BYTES, OPS_PER_BATCH_MAX, SEES_MAX } from '../constants.ts';
import { InvalidBatch } from '../core/invalid-batch.ts';
import {
  AMEND,
  type Batch,
  type Operation,
  type OperationKind,
  type Operations,
  PIN,
  type StreamRun,
  UNPIN,
} from '../core/types.ts';
import { RID_BYTES } from './header.ts';

// pinfold.peer.v1.Operations by hand. Tags: field number x 8 + wire type.
export const RIDS = 0x0a;
export const PEERS = 0x12;
export const OPERATION = 0x1a;
export const STREAM_RUN = 0x22;
export const KIND = 0x08;
export const PIN_KEY = 0x12;
export const SEES = 0x1a;
export const STAMP = 0x20;
export const VALUE = 0x2a;
export const ALLOCATIONS = 0x32;
export const IDEMPOTENCY = 0x3a;
export const RUN_STREAM = 0x0a;
export const RUN_FIRST = 0x10;
export const RUN_LAST = 0x18;
export const RUN_POSITION = 0x20;

const none = new Uint8Array(0);
const noNumbers: readonly number[] = [];

/** Decodes without judging: for what was judged when it came in (the log). Throws InvalidBatch; views into `bytes`. */
export function decodeOperations(bytes: Uint8Array): Operations {
  try {
    return readOperations(new Reader(bytes));
  } catch (cause) {
    if (cause instanceof Malformed) throw new InvalidBatch('malformed', `operations: ${cause.message}`);
    throw cause;
  }
}

/** Decodes and judges the operations of a batch by all rules that hold for ever (section 3, Valid). Throws InvalidBatch. */
export function checkedOperations(batch: Batch): Operations {
  const content = decodeOperations(batch.ops);
  const { first, last } = batch.head;
  if (content.operations.length !== last - first + 1) {
    throw new InvalidBatch('sequence', `${content.operations.length} operations for the sequences ${first} to ${last}`);
  }
  checkTable(content.rids, 'rids', (rid) => rid.length === RID_BYTES);
  checkTable(content.peers, 'peers', isPeerIdBytes);
  for (const operation of content.operations) checkOperation(operation, content);
  for (const run of content.runs) checkRun(run, content.operations.length);
  return content;
}

function checkTable(table: readonly Uint8Array[], what: string, isRight: (entry: Uint8Array) => boolean): void {
  const seen = new Set<string>();
  for (const entry of table) {
    if (!isRight(entry)) throw new InvalidBatch('malformed', `an entry of ${what} is malformed`);
    seen.add(byteString(entry));
  }
  if (seen.size !== table.length) throw new InvalidBatch('malformed', `an entry of ${what} stands twice`);
}

function checkOperation(operation: Operation, { rids, peers }: Operations): void {
  const { kind, sees, allocations, value, idempotency } = operation;
  if (kind !== PIN && kind !== UNPIN && kind !== AMEND) throw new InvalidBatch('operation', 'a kind that is not known');
  if (operation.stamp < 1) throw new InvalidBatch('stamp', 'no stamp');
  for (let i = 0; i < sees.length; i += 2) {
    if ((sees[i] as number) >= rids.length) throw new InvalidBatch('operation', 'a dot outside the table');
    if ((sees[i + 1] as number) < 1) throw new InvalidBatch('operation', 'a dot with sequence 0');
  }
  for (const position of allocations) {
    if (position >= peers.length) throw new InvalidBatch('operation', 'an allocation outside the table');
  }
  if (new Set(allocations).size !== allocations.length)
    throw new InvalidBatch('operation', 'an allocation stands twice');
  if (kind === UNPIN && allocations.length > 0) throw new InvalidBatch('operation', 'an unpin with allocations');
  if (kind !== PIN && value.length > 0) throw new InvalidBatch('operation', 'a value outside a pin');
  if (idempotency !== undefined && idempotency.length !== IDEMPOTENCY_KEY_BYTES) {
    throw new InvalidBatch('operation', 'an idempotency hash of a wrong length');
  }
  checkTexts(operation);
}

function checkTexts({ kind, key, value }: Operation): void {
  try {
    checkPinKey(key);
    if (kind === PIN) checkPinValue(value);
  } catch (cause) {
    throw new InvalidBatch('value', (cause as Error).message);
  }
}

function checkRun(run: StreamRun, operations: number): void {
  const isRight = run.stream.length === IDEMPOTENCY_KEY_BYTES && run.first >= 1 && run.last >= run.first;
  if (!isRight || run.position >= operations) throw new InvalidBatch('operation', 'a stream run that cannot be');
}

function readOperations(reader: Reader): Operations {
  const rids: Uint8Array[] = [];
  const peers: Uint8Array[] = [];
  const operations: Operation[] = [];
  const runs: StreamRun[] = [];
  while (reader.more) {
    const tag = reader.varint();
    if (tag === OPERATION) operations.push(readOperation(reader.message()));
    else if (tag === RIDS) rids.push(reader.view());
    else if (tag === PEERS) peers.push(reader.view());
    else if (tag === STREAM_RUN) runs.push(readRun(reader.message()));
    else throw new Malformed(`unknown field ${tag >>> 3}`);
    if (operations.length > OPS_PER_BATCH_MAX || runs.length > OPS_PER_BATCH_MAX)
      throw new Malformed('too many entries');
  }
  return { rids, peers, operations, runs };
}

function readOperation(reader: Reader): Operation {
  const operation: Operation = {
    kind: 0 as OperationKind,
    key: none,
    sees: noNumbers,
    stamp: 0,
    value: none,
    allocations: noNumbers,
    idempotency: undefined,
  };
  while (reader.more) {
    const tag = reader.varint();
    if (tag === KIND) operation.kind = reader.varint() as OperationKind;
    else if (tag === PIN_KEY) operation.key = reader.view();
    else if (tag === SEES) operation.sees = readNumbers(reader, SEES_MAX * 2);
    else if (tag === STAMP) operation.stamp = reader.varint();
    else if (tag === VALUE) operation.value = reader.view();
    else if (tag === ALLOCATIONS) operation.allocations = readNumbers(reader, pinLimits.allocationsMax);
    else if (tag === IDEMPOTENCY) operation.idempotency = reader.view();
    else throw new Malformed(`unknown field ${tag >>> 3} of an operation`);
  }
  if (operation.sees.length % 2 !== 0) throw new Malformed('half a dot');
  return operation;
}

function readNumbers(reader: Reader, max: number): number[] {
  const inner = reader.message();
  const numbers: number[] = [];
  while (inner.more) {
    numbers.push(inner.varint());
    if (numbers.length > max) throw new Malformed('a list is too long');
  }
  return numbers;
}

function readRun(reader: Reader): StreamRun {
  const run: StreamRun = { stream: none, first: 0, last: 0, position: 0 };
  while (reader.more) {
    const tag = reader.varint();
    if (tag === RUN_STREAM) run.stream = reader.view();
    else if (tag === RUN_FIRST) run.first = reader.varint();
    else if (tag === RUN_LAST) run.last = reader.varint();
    else if (tag === RUN_POSITION) run.position = reader.varint();
    else throw new Malformed(`unknown field ${tag >>> 3} of a run`);
  }
  return run;
}

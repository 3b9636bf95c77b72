import { hash } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import {
  type BatchRun,
  BatchRunSchema,
  type ClockEntry,
  ClockEntrySchema,
  type RunBatch,
  RunBatchSchema,
} from '../../../../gen/pinfold/peer/v1/batch_pb.ts';
import { equalBytes } from '../../../model/bytes.ts';
import { RUN_FOLLOWING_BYTES_MAX } from '../constants.ts';
import { InvalidBatch } from '../core/invalid-batch.ts';
import type { Batch, BatchHeader } from '../core/types.ts';
import { type HeardEntry, readClock } from './clock-entries.ts';
import { encodeHeader } from './header.ts';
import { type BatchParts, openBatch } from './signed-batch.ts';

// What Sync carries: batches one after the other, of which those that follow the one before need no header (batch.proto).

/** A batch as the log has it. */
export interface LoggedBatch {
  readonly parts: BatchParts;
  readonly head: BatchHeader;
}

export function packRun(batches: readonly LoggedBatch[]): BatchRun {
  return create(BatchRunSchema, { batches: batches.map((batch, i) => packed(batch, batches[i - 1])) });
}

function packed(batch: LoggedBatch, before: LoggedBatch | undefined): RunBatch {
  const { header, signature, ops, wantAck = false } = batch.parts;
  if (before === undefined || !isMadeAgain(batch, before)) {
    return create(RunBatchSchema, { header, signature, ops, wantAck });
  }
  const { first, last } = batch.head;
  const inc = batch.head.inc.map(({ rid, sequence }) => create(ClockEntrySchema, { rid, sequence: BigInt(sequence) }));
  return create(RunBatchSchema, { signature, ops, wantAck, operations: last - first + 1, inc });
}

/** Whether the receiver would come to the same bytes: anything else goes as it was signed. */
function isMadeAgain({ parts, head }: LoggedBatch, before: LoggedBatch): boolean {
  if (parts.ops.length > RUN_FOLLOWING_BYTES_MAX || parts.ops.length === 0) return false;
  if (head.first !== before.head.last + 1) return false;
  const prev = hash('sha256', before.parts.header, 'buffer');
  return equalBytes(encodeHeader(followingHeader(before.head, prev, head, parts.ops)), parts.header);
}

/** Throws InvalidBatch, also in the middle. Neither signatures nor operations are looked at, as in `openBatch`. */
export function* openRun({ batches }: BatchRun): Generator<Batch> {
  let before: Batch | undefined;
  for (const { header, signature, ops, wantAck, operations, inc } of batches) {
    const parts = { header, signature, ops, wantAck };
    if (header.length === 0) {
      if (before === undefined) throw new InvalidBatch('malformed', 'a run that begins without a header');
      if (operations < 1 || ops.length === 0)
        throw new InvalidBatch('malformed', 'a batch of a run without operations');
      const first = before.head.last + 1;
      const rest = { first, last: first + operations - 1, inc: readInc(inc) };
      parts.header = encodeHeader(followingHeader(before.head, before.hash, rest, ops));
    }
    before = openBatch(parts);
    yield before;
  }
}

function readInc(inc: ClockEntry[]): HeardEntry[] {
  try {
    return readClock(inc);
  } catch (cause) {
    throw new InvalidBatch('malformed', `a batch of a run: ${(cause as Error).message}`);
  }
}

function followingHeader(
  { level, author, incarnation }: BatchHeader,
  prev: Uint8Array,
  { first, last, inc }: Pick<BatchHeader, 'first' | 'last' | 'inc'>,
  ops: Uint8Array,
): BatchHeader {
  const opsHash = hash('sha256', ops, 'buffer');
  return { level, author, incarnation, first, last, prev, inc, opsHash, opsBytes: ops.length };
}

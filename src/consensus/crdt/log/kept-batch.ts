import { equalBytes } from '../../../model/bytes.ts';
import { PinfoldError } from '../../../model/errors.ts';
import type { Reader } from '../../../storage/storage.ts';
import { decodeSignedBatch, openBatch, verifyBatch } from '../codec/signed-batch.ts';
import { InvalidBatch } from '../core/invalid-batch.ts';
import type { Batch } from '../core/types.ts';
import { LOG_KEY_BYTES, logKey } from '../state/keys.ts';
import { logTable } from '../tables.ts';

/** What the log has of a replica is damaged or lost (I7), up to an operation at least. */
export class LogDamaged extends PinfoldError {
  /** Local number. */
  readonly replica: number;
  /** The operation that was looked for. */
  readonly sequence: number;
  /** May lie beyond what there is: what names it may be what is damaged. */
  readonly through: number;

  constructor({ replica, sequence, through }: Pick<LogDamaged, 'replica' | 'sequence' | 'through'>, what: string) {
    super('DATA_CORRUPT', `the log of operations is damaged: ${what}; peers that lack it rebuild from this one's pins`);
    this.replica = replica;
    this.sequence = sequence;
    this.through = through;
  }
}

/** Throws InvalidBatch. */
export type Verify = (batch: Batch) => void;

const hasItsOperations: Verify = (batch) => verifyBatch(batch, true);

/**
 * The batch of a replica in the log that holds an operation, which the clock covers and the floor does not. Its place is its own and its
 * operations are those of its header; whether its author has signed that, `verify` may look. Throws LogDamaged.
 */
export function keptBatch(
  reader: Reader,
  { number, rid }: { number: number; rid: Uint8Array },
  sequence: number,
  verify = hasItsOperations,
): Batch {
  const place = { replica: number, sequence };
  const range = { from: logKey(number, sequence), to: logKey(number + 1, 0), limit: 1 };
  for (const { key, value } of reader.range(logTable, range)) {
    // The key may be what is damaged.
    const last = key.length === LOG_KEY_BYTES ? Number(Buffer.from(key).readBigUInt64BE(4)) : sequence;
    const batch = unlessInvalid(() => checked(openBatch(decodeSignedBatch(value)), { rid, last }, verify));
    if (batch instanceof InvalidBatch) throw new LogDamaged({ ...place, through: last }, batch.message);
    if (batch.head.first <= sequence) return batch;
    throw new LogDamaged({ ...place, through: batch.head.first - 1 }, `operation ${sequence} of a replica is lost`);
  }
  const through = Number.MAX_SAFE_INTEGER;
  throw new LogDamaged({ ...place, through }, `what follows operation ${sequence - 1} of a replica is lost`);
}

/** Undefined: damage stands there. */
export function unlessLogDamaged<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (problem) {
    if (!(problem instanceof LogDamaged)) throw problem;
    return undefined;
  }
}

function checked(batch: Batch, { rid, last }: { rid: Uint8Array; last: number }, verify: Verify): Batch {
  if (batch.head.last !== last || !equalBytes(batch.rid, rid))
    throw new InvalidBatch('malformed', 'a batch of another place');
  verify(batch);
  return batch;
}

function unlessInvalid<T>(read: () => T): T | InvalidBatch {
  try {
    return read();
  } catch (problem) {
    if (problem instanceof InvalidBatch) return problem;
    throw problem;
  }
}

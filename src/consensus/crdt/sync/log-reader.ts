import { byteString } from '../../../model/bytes.ts';
import { PinfoldError } from '../../../model/errors.ts';
import type { Reader } from '../../../storage/storage.ts';
import { decodeHeader } from '../codec/header.ts';
import { type BatchParts, decodeSignedBatch } from '../codec/signed-batch.ts';
import { type Cursor, nextSendable } from '../core/causal-order.ts';
import { InvalidBatch } from '../core/invalid-batch.ts';
import type { BatchHeader, IncEntry } from '../core/types.ts';
import { logKey } from '../state/keys.ts';
import { logTable } from '../tables.ts';

/** What a log reader must know of a replica: how far it may read, and from where the log holds it. */
export interface LoggedReplica {
  readonly number: number;
  readonly rid: Uint8Array;
  readonly ridText: string;
  readonly flushedSequence: number;
  readonly floor: number;
}

interface LogCursor extends Cursor {
  readonly replica: LoggedReplica;
  next: BatchHeader | undefined;
  parts: BatchParts | undefined;
}

/**
 * The batches that the flushed clock covers and another clock does not, in causal order, one at a time (S2, S3). Rows of the
 * log never change, so reading them as they are committed, up to the flushed clock, is reading one flushed state. What is
 * sent moves the other clock; asking again later gives what was flushed since.
 */
export class LogReader {
  /** The other side's clock with what was handed out. */
  readonly #sent: Map<string, number>;
  readonly #cursors = new Map<string, LogCursor>();
  #order: LogCursor[] = [];
  #preferred = 0;

  constructor(clock: Iterable<IncEntry>) {
    this.#sent = new Map([...clock].map(({ rid, sequence }) => [byteString(rid), sequence]));
  }

  /** S2: the log does not reach back to what the other side has. */
  isBelowFloor(replicas: readonly LoggedReplica[]): boolean {
    return replicas.some(({ ridText, floor }) => (this.#sent.get(ridText) ?? 0) < floor);
  }

  next(
    reader: Reader,
    replicas: readonly LoggedReplica[],
  ): { parts: BatchParts; head: BatchHeader; replica: LoggedReplica } | undefined {
    this.#look(reader, replicas);
    const index = nextSendable(this.#order, (entry) => this.#covers(entry), this.#preferred);
    if (index === undefined) return undefined;
    this.#preferred = index;
    const cursor = this.#order[index] as LogCursor;
    const { parts, next: head, replica } = cursor as { parts: BatchParts; next: BatchHeader; replica: LoggedReplica };
    cursor.next = undefined;
    cursor.parts = undefined;
    this.#sent.set(replica.ridText, head.last);
    return { parts, head, replica };
  }

  /** How far the other side is with that replica. */
  sentOf(ridText: string): number {
    return this.#sent.get(ridText) ?? 0;
  }

  /** The other side has taken in that much by another way: it need not be sent. */
  skip(ridText: string, sequence: number): void {
    if (sequence <= (this.#sent.get(ridText) ?? 0)) return;
    this.#sent.set(ridText, sequence);
    const cursor = this.#cursors.get(ridText);
    if (cursor !== undefined) cursor.next = cursor.parts = undefined;
  }

  #covers({ rid, sequence }: IncEntry): boolean {
    return sequence <= (this.#sent.get(byteString(rid)) ?? 0);
  }

  #look(reader: Reader, replicas: readonly LoggedReplica[]): void {
    for (const replica of replicas) {
      const sent = this.#sent.get(replica.ridText) ?? 0;
      let cursor = this.#cursors.get(replica.ridText);
      if (replica.flushedSequence <= sent || cursor?.next !== undefined) continue;
      if (cursor === undefined) {
        cursor = { ridText: replica.ridText, replica, next: undefined, parts: undefined };
        this.#cursors.set(replica.ridText, cursor);
        this.#order.push(cursor);
      }
      read(reader, cursor, sent);
    }
  }
}

function read(reader: Reader, cursor: LogCursor, sent: number): void {
  const { number } = cursor.replica;
  for (const { value } of reader.range(logTable, {
    from: logKey(number, sent + 1),
    to: logKey(number + 1, 0),
    limit: 1,
  })) {
    try {
      cursor.parts = decodeSignedBatch(value);
      cursor.next = decodeHeader(cursor.parts.header);
    } catch (cause) {
      if (!(cause instanceof InvalidBatch)) throw cause;
      throw new PinfoldError('DATA_CORRUPT', 'a batch in the log is damaged; rebuild this peer from the others', {
        cause,
      });
    }
    return;
  }
  throw new PinfoldError('DATA_CORRUPT', `the log lacks what follows operation ${sent} of replica ${number} (I7)`);
}

import { byteString } from '../../../model/bytes.ts';
import { type Cursor, nextSendable } from '../core/causal-order.ts';
import type { Batch, IncEntry } from '../core/types.ts';

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
  batch: Batch | undefined;
}

/** The batch that holds an operation of a replica. Throws LogDamaged. */
export type ReadBatch = (replica: LoggedReplica, sequence: number) => Batch;

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

  readonly #read: ReadBatch;

  constructor(clock: Iterable<IncEntry>, read: ReadBatch) {
    this.#read = read;
    this.#sent = new Map([...clock].map(({ rid, sequence }) => [byteString(rid), sequence]));
  }

  /** S2: the log does not reach back to what the other side has. */
  isBelowFloor(replicas: readonly LoggedReplica[]): boolean {
    return replicas.some(({ ridText, floor }) => (this.#sent.get(ridText) ?? 0) < floor);
  }

  /** Throws LogDamaged. */
  next(replicas: readonly LoggedReplica[]): { batch: Batch; replica: LoggedReplica } | undefined {
    this.#look(replicas);
    const index = nextSendable(this.#order, (entry) => this.#covers(entry), this.#preferred);
    if (index === undefined) return undefined;
    this.#preferred = index;
    const cursor = this.#order[index] as LogCursor;
    const { replica } = cursor;
    const batch = cursor.batch as Batch;
    cursor.next = cursor.batch = undefined;
    this.#sent.set(replica.ridText, batch.head.last);
    return { batch, replica };
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
    if (cursor !== undefined) cursor.next = cursor.batch = undefined;
  }

  #covers({ rid, sequence }: IncEntry): boolean {
    return sequence <= (this.#sent.get(byteString(rid)) ?? 0);
  }

  #look(replicas: readonly LoggedReplica[]): void {
    for (const replica of replicas) {
      const sent = this.#sent.get(replica.ridText) ?? 0;
      let cursor = this.#cursors.get(replica.ridText);
      if (replica.flushedSequence <= sent || cursor?.next !== undefined) continue;
      if (cursor === undefined) {
        cursor = { ridText: replica.ridText, replica, next: undefined, batch: undefined };
        this.#cursors.set(replica.ridText, cursor);
        this.#order.push(cursor);
      }
      cursor.batch = this.#read(replica, sent + 1);
      cursor.next = cursor.batch.head;
    }
  }
}

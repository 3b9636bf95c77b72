import { byteString } from '../../../model/bytes.ts';
import { isPinfoldError } from '../../../model/errors.ts';
import { Malformed, Reader as WireReader } from '../../../pinset/codec/reader.ts';
import { Writer } from '../../../pinset/codec/writer.ts';
import type { Reader, Storage, Transaction } from '../../../storage/storage.ts';
import type { Clock } from '../core/clocks.ts';
import { type LogMark, mergedMarks } from '../core/log-cut.ts';
import { decodePosition, encodePosition } from '../core/position.ts';
import type { IncEntry } from '../core/types.ts';
import { numberKey } from '../state/keys.ts';
import { logMarksTable } from '../tables.ts';

/**
 * How old the batches of the log are: what C was at times in the past. A row now and then instead of one a batch; what is merged
 * away leaves batches looking younger than they are.
 */
export class LogMarks {
  readonly #storage: Storage;
  #marks: StoredMark[] = [];

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  /** Oldest first. */
  get all(): readonly LogMark[] {
    return this.#marks;
  }

  load(reader: Reader): void {
    for (const { key, value } of reader.range(logMarksTable)) {
      const mark = decode(Buffer.from(key).readUInt32BE(0), value);
      // A damaged mark is none: the batches look younger.
      if (mark !== undefined) this.#marks.push(mark);
    }
  }

  /** C is this now, and so many bytes were put into the log since the last mark. */
  take(timeMs: number, clock: Iterable<IncEntry>, bytes: number, limits: { ageMs: number; bytes: number }): void {
    const number = (this.#marks.at(-1)?.number ?? 0) + 1;
    const mark = new StoredMark(number, timeMs, bytes, encodePosition(clock));
    const kept = mergedMarks([...this.#marks, mark], timeMs, limits);
    this.#replace(kept.map(({ mark: one, bytes: sum }) => one.with(sum)));
  }

  /** What the floors cover is gone. */
  cut(floors: Clock): void {
    const kept = this.#marks.filter(({ clock }) => ![...clock].every(([rid, seq]) => seq <= (floors.get(rid) ?? 0)));
    if (kept.length < this.#marks.length) this.#replace(kept);
  }

  #replace(kept: StoredMark[]): void {
    const before = new Map(this.#marks.map((mark) => [mark.number, mark]));
    this.#storage.transaction((tx) => {
      for (const mark of kept) {
        if (before.get(mark.number) !== mark) mark.put(tx);
        before.delete(mark.number);
      }
      for (const number of before.keys()) tx.remove(logMarksTable, numberKey(number));
    });
    this.#marks = kept;
  }
}

/** Its clock stays encoded: there may be thousands of replicas in it, and it is looked at seldom. */
class StoredMark implements LogMark {
  readonly number: number;
  readonly timeMs: number;
  readonly bytes: number;
  readonly #position: Uint8Array;

  constructor(number: number, timeMs: number, bytes: number, position: Uint8Array) {
    this.number = number;
    this.timeMs = timeMs;
    this.bytes = bytes;
    this.#position = position;
  }

  get clock(): Clock {
    return new Map(decodePosition(this.#position).map(({ rid, sequence }) => [byteString(rid), sequence]));
  }

  with(bytes: number): StoredMark {
    return bytes === this.bytes ? this : new StoredMark(this.number, this.timeMs, bytes, this.#position);
  }

  put(tx: Transaction): void {
    const head = new Writer(32);
    head.varint(Math.max(0, Math.floor(this.timeMs)));
    head.varint(this.bytes);
    tx.put(logMarksTable, numberKey(this.number), Buffer.concat([head.take(), this.#position]));
  }
}

function decode(number: number, value: Uint8Array): StoredMark | undefined {
  try {
    const reader = new WireReader(value);
    const [timeMs, bytes] = [reader.varint(), reader.varint()];
    const position = value.subarray(reader.at);
    decodePosition(position);
    return new StoredMark(number, timeMs, bytes, position);
  } catch (cause) {
    if (cause instanceof Malformed || isPinfoldError(cause, 'INVALID_TOKEN')) return undefined;
    throw cause;
  }
}

import { byteString } from '../../model/bytes.ts';
import { PinfoldError } from '../../model/errors.ts';
import { mark } from '../../runtime/mark.ts';
import type { Transaction } from '../../storage/storage.ts';
import type { Request } from '../consensus.ts';
import { putRemembered, type Remembered, readRemembered } from './state/idempotency.ts';
import type { CrdtStore } from './state/store.ts';

interface StreamState {
  readonly key: Uint8Array;
  readonly row: Remembered;
  readonly isNew: boolean;
  isChanged: boolean;
}

/** The bulk streams of one transaction: up to which number each is decided (6.3). Rows are read and written once a transaction. */
export class DecidedStreams {
  readonly #store: CrdtStore;
  readonly #streams = new Map<string, StreamState>();
  #last: StreamState | undefined;

  constructor(store: CrdtStore) {
    this.#store = store;
  }

  /** What the number is: decided before, the next one, or out of order. */
  check(tx: Transaction, { key, number }: NonNullable<Request['stream']>): Remembered | 'next' | PinfoldError {
    const { row } = this.#stream(tx, key);
    if (number <= row.decided) {
      mark('crdt commit: a stream number again');
      return row;
    }
    if (number === row.decided + 1) return 'next';
    return new PinfoldError('STREAM_GAP', `operation ${number} came after ${row.decided}`);
  }

  /** The number is decided, done or refused. */
  advance(tx: Transaction, { key, number }: NonNullable<Request['stream']>, sequence: number): void {
    const stream = this.#stream(tx, key);
    stream.row.decided = number;
    stream.row.replica = this.#store.own.number;
    stream.row.sequence = sequence;
    stream.isChanged = true;
  }

  put(tx: Transaction): void {
    const timeMs = this.#store.needs.clock.nowMs();
    for (const { key, row, isNew, isChanged } of this.#streams.values()) {
      if (isChanged) putRemembered(tx, key, { ...row, timeMs }, isNew);
    }
  }

  #stream(tx: Transaction, key: Uint8Array): StreamState {
    if (this.#last?.key === key) return this.#last;
    const text = byteString(key);
    const stream = this.#streams.get(text) ?? this.#read(tx, key);
    this.#streams.set(text, stream);
    this.#last = stream;
    return stream;
  }

  #read(tx: Transaction, key: Uint8Array): StreamState {
    const row = this.#store.live(readRemembered(tx, key));
    if (row !== undefined) return { key, row, isNew: false, isChanged: false };
    const { own } = this.#store;
    const fresh: Remembered = {
      kind: 'stream',
      replica: own.number,
      sequence: own.sequence,
      decided: 0,
      timeMs: 0,
      request: new Uint8Array(0),
    };
    return { key, row: fresh, isNew: true, isChanged: false };
  }
}

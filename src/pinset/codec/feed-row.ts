import type { PinKey } from '../../model/pin.ts';
import { Reader } from './reader.ts';
import { varintSize, Writer } from './writer.ts';

// pinfold.store.v1.FeedRow by hand, as pin-value.ts.
const CHANGE = 0x0a;
const EVERYTHING = 0x10;
const TIME_MS = 0x18;
const PIN_KEY = 0x0a;
const DIGEST_CHANGE = 0x12;

/** Bytes of a change of a bucket's sum. */
export const DIGEST_BYTES = 16;

const writer = new Writer();

/** Builds one feed row: `begin`, any number of `add`, `end`. */
export const feedRow = {
  begin(): void {
    writer.at = 0;
  },

  /** The change of the bucket's sum is to be written to the returned place in `feedRow.bytes()`, 16 bytes. */
  add(key: PinKey): number {
    const keySize = key.length === 0 ? 0 : 1 + varintSize(key.length) + key.length;
    const size = keySize + 2 + DIGEST_BYTES;
    writer.ensure(size + 11);
    writer.bytes[writer.at++] = CHANGE;
    writer.varint(size);
    if (keySize > 0) writer.bytesField(PIN_KEY, key);
    writer.bytes[writer.at++] = DIGEST_CHANGE;
    writer.bytes[writer.at++] = DIGEST_BYTES;
    writer.at += DIGEST_BYTES;
    return writer.at - DIGEST_BYTES;
  },

  /** A key whose bucket does not change with this row. */
  addKey(key: PinKey): void {
    const size = 1 + varintSize(key.length) + key.length;
    writer.ensure(size + 11);
    writer.bytes[writer.at++] = CHANGE;
    writer.varint(size);
    writer.bytesField(PIN_KEY, key);
  },

  bytes(): Buffer {
    return writer.bytes;
  },

  end(everything: boolean, timeMs: number): Uint8Array {
    if (everything) writer.varintField(EVERYTHING, 1);
    writer.varintField(TIME_MS, timeMs);
    return writer.take();
  },
};

export interface FeedRow {
  keys: PinKey[];
  /** 16 bytes for each key, empty where there is none. */
  digestChanges: Uint8Array[];
  everything: boolean;
  timeMs: number;
}

const noBytes = new Uint8Array(0);

/** Throws Malformed. Keys and changes are views into `bytes`. */
export function decodeFeedRow(bytes: Uint8Array): FeedRow {
  const reader = new Reader(bytes);
  const row: FeedRow = { keys: [], digestChanges: [], everything: false, timeMs: 0 };
  while (reader.more) {
    const tag = reader.varint();
    if (tag === CHANGE) readChange(reader.message(), row);
    else if (tag === EVERYTHING) row.everything = reader.varint() !== 0;
    else if (tag === TIME_MS) row.timeMs = reader.varint();
    else reader.skip(tag);
  }
  return row;
}

function readChange(reader: Reader, row: FeedRow): void {
  let key: PinKey = noBytes;
  let digestChange = noBytes as Uint8Array;
  while (reader.more) {
    const tag = reader.varint();
    if (tag === PIN_KEY) key = reader.view();
    else if (tag === DIGEST_CHANGE) digestChange = reader.view();
    else reader.skip(tag);
  }
  row.keys.push(key);
  row.digestChanges.push(digestChange);
}

import { byteString } from '../../../model/bytes.ts';
import type { PinKey } from '../../../model/pin.ts';
import { Reader as WireReader } from '../../../pinset/codec/reader.ts';
import { Writer } from '../../../pinset/codec/writer.ts';
import type { Feed } from '../../../pinset/pinset.ts';
import { mark } from '../../../runtime/mark.ts';
import type { Reader, Storage, Transaction } from '../../../storage/storage.ts';
import { FEED_READ_TOGETHER, SHADOW_KEY_ROWS_REMOVED_MAX, SHADOW_KEYS_MAX } from '../constants.ts';
import { numberKey } from '../state/keys.ts';
import { shadowKeysTable } from '../tables.ts';

/**
 * The keys that the swap may change, for its feed row (6.4, I12): those whose merged rows differ from mine, and those of batches that
 * only the shadow has taken, listed as they come; and all that the live rows take in meanwhile, from the feed. Too many: everything.
 */
export class ChangedKeys {
  isEverything: boolean;
  /** Of the own state that the first range was merged with. */
  sinceRevision: number;
  keysListed: number;
  keyRows: number;

  constructor({ isEverything = false, sinceRevision = 0, keysListed = 0, keyRows = 0 } = {}) {
    this.isEverything = isEverything;
    this.sinceRevision = sinceRevision;
    this.keysListed = keysListed;
    this.keyRows = keyRows;
  }

  /** Before the row of the shadow is put in the same transaction. */
  list(tx: Transaction, keys: readonly PinKey[]): void {
    if (this.isEverything || keys.length === 0) return;
    this.keysListed += keys.length;
    if (this.keysListed > SHADOW_KEYS_MAX) this.isEverything = true;
    else tx.put(shadowKeysTable, numberKey(this.keyRows++), encodeKeys(keys));
  }

  /** What the feed row of the swap says, which comes after `revision`: all up to that must be committed. */
  collect(reader: Reader, feed: Feed, revision: number): PinKey[] | 'everything' {
    if (this.isEverything) return 'everything';
    const keys = new Map<string, PinKey>();
    for (const { value } of reader.range(shadowKeysTable)) {
      for (const key of decodeKeys(value)) keys.set(byteString(key), key);
    }
    if (this.#addLive(feed, keys, revision)) return [...keys.values()];
    mark('crdt rebuild: the feed does not reach back');
    return 'everything';
  }

  /** What came as rows may undo what the live rows took in meanwhile (fault feed-forgets-live). False: too much, or gone. */
  #addLive(feed: Feed, keys: Map<string, PinKey>, upTo: number): boolean {
    for (let revision = this.sinceRevision; revision < upTo; ) {
      const entries = feed.read(revision, FEED_READ_TOGETHER);
      if (entries === 'gone' || entries.length === 0) return false;
      for (const entry of entries) {
        if (entry.everything) return false;
        for (const key of entry.keys) keys.set(byteString(key), key);
        revision = entry.revision;
      }
      if (keys.size > SHADOW_KEYS_MAX) return false;
    }
    return true;
  }

  /** Empties the list of a shadow that is gone, a bounded piece a transaction. */
  static async clear(storage: Storage): Promise<void> {
    for (;;) {
      const limit = SHADOW_KEY_ROWS_REMOVED_MAX;
      const keys = Array.from(storage.read.range(shadowKeysTable, { limit }), ({ key }) => key);
      if (keys.length === 0) return;
      await storage.transaction((tx) => {
        for (const key of keys) tx.remove(shadowKeysTable, key);
      }).committed;
    }
  }
}

const writer = new Writer();

function encodeKeys(keys: readonly PinKey[]): Uint8Array {
  writer.at = 0;
  for (const key of keys) {
    writer.ensure(key.length + 5);
    writer.varint(key.length);
    writer.bytes.set(key, writer.at);
    writer.at += key.length;
  }
  return writer.take();
}

function* decodeKeys(bytes: Uint8Array): Generator<PinKey> {
  const reader = new WireReader(bytes);
  while (reader.more) yield reader.view();
}

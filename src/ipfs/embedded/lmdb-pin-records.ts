import { open, type RootDatabase } from 'lmdb';
import { ConnectorError, type HoldMode } from '../connector.ts';
import { LIST_PAGE_RECORDS } from '../constants.ts';
import type { PinRecords } from '../node/pin-records.ts';
import { storeError } from './block-files.ts';

type RecordStore = RootDatabase<Uint8Array, Uint8Array>;

const modes: readonly (HoldMode | undefined)[] = [undefined, 'recursive', 'direct'];

/**
 * In an LMDB environment of their own, one small entry a pin: Helia's pins cost one for each block, and are said to be
 * there before they are. Transactions are flushed before they count as committed (`overlappingSync` off): there is
 * nothing to gain here from seeing them earlier.
 */
export class LmdbPinRecords implements PinRecords {
  readonly #folder: string;
  #opened: RecordStore | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async open(): Promise<void> {
    const options = { keyEncoding: 'binary', encoding: 'binary', overlappingSync: false } as const;
    try {
      this.#opened = open({ path: this.#folder, ...options });
    } catch (cause) {
      throw storeError(cause);
    }
  }

  async close(): Promise<void> {
    await this.#opened?.close();
    this.#opened = undefined;
  }

  get(cid: Uint8Array): HoldMode | undefined {
    return modeOf(this.#store.get(cid));
  }

  async put(cid: Uint8Array, mode: HoldMode): Promise<void> {
    await this.#flushed(this.#store.put(cid, Uint8Array.of(modes.indexOf(mode))));
  }

  async remove(cid: Uint8Array): Promise<void> {
    await this.#flushed(this.#store.remove(cid));
  }

  /** In the order of the keys. */
  async *list(): AsyncGenerator<{ cid: Uint8Array; mode: HoldMode }> {
    let from: Uint8Array | undefined;
    for (;;) {
      const page = readPage(this.#store, from);
      for (const { key, value } of page) {
        const mode = modeOf(value);
        if (mode !== undefined) yield { cid: Uint8Array.from(key), mode };
      }
      const last = page.at(-1);
      if (last === undefined || page.length < LIST_PAGE_RECORDS) return;
      from = after(last.key);
    }
  }

  get #store(): RecordStore {
    if (this.#opened === undefined) throw new ConnectorError('UNREACHABLE', 'the pin records are closed');
    return this.#opened;
  }

  async #flushed(write: Promise<unknown>): Promise<void> {
    try {
      await write;
      await this.#store.flushed;
    } catch (cause) {
      throw storeError(cause);
    }
  }
}

/** A page at a time and not one long range: an open read transaction keeps old pages from being used again. */
function readPage(db: RecordStore, from: Uint8Array | undefined) {
  const start = from === undefined ? {} : { start: from };
  return [...db.getRange({ ...start, limit: LIST_PAGE_RECORDS, snapshot: false })];
}

/** The least key that is greater. */
function after(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

function modeOf(value: Uint8Array | undefined): HoldMode | undefined {
  return value === undefined ? undefined : modes[value[0] as number];
}

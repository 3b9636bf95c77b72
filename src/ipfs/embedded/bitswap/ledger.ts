import type { CID } from 'multiformats/cid';
import { byteString } from '../../../model/bytes.ts';
import { LEDGER_ENTRIES_MAX } from './constants.ts';

export interface LedgerEntry {
  cid: CID;
  kind: 'block' | 'have';
  sendDontHave: boolean;
}

/** What one peer wants from us: what is to be looked at, and what was looked for and may come later. */
export class Ledger {
  /** By multihash. Those that are here and not in `#due` wait for the block to come. */
  readonly #entries = new Map<string, LedgerEntry>();
  readonly #due = new Map<string, LedgerEntry>();

  add(entry: LedgerEntry): void {
    const key = keyOf(entry.cid);
    this.#due.set(key, entry);
    if (this.#entries.size < LEDGER_ENTRIES_MAX || this.#entries.has(key)) this.#entries.set(key, entry);
  }

  remove(cid: CID): void {
    this.#entries.delete(keyOf(cid));
    this.#due.delete(keyOf(cid));
  }

  clear(): void {
    this.#entries.clear();
    this.#due.clear();
  }

  /** The block has come: whether that is of interest here. */
  came(cid: CID): boolean {
    const entry = this.#entries.get(keyOf(cid));
    if (entry !== undefined) this.#due.set(keyOf(cid), { ...entry, sendDontHave: false });
    return entry !== undefined;
  }

  /** The next to look at; not given out again unless `came` or `add` says so. */
  next(): LedgerEntry | undefined {
    for (const [key, entry] of this.#due) {
      this.#due.delete(key);
      return entry;
    }
    return undefined;
  }
}

function keyOf(cid: CID): string {
  return byteString(cid.multihash.bytes);
}

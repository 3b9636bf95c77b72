import type { CID } from 'multiformats/cid';
import { byteString } from '../../../model/bytes.ts';
import { LEDGER_DUE_MAX, LEDGER_ENTRIES_MAX } from './constants.ts';

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

  /** Whether there was room for it. */
  add(entry: LedgerEntry): boolean {
    const key = keyOf(entry.cid);
    if (this.#due.size >= LEDGER_DUE_MAX && !this.#due.has(key)) return false;
    this.#due.set(key, entry);
    if (this.#entries.size < LEDGER_ENTRIES_MAX || this.#entries.has(key)) this.#entries.set(key, entry);
    return true;
  }

  /** What waits to be looked at; all that is remembered. */
  get size(): { due: number; entries: number } {
    return { due: this.#due.size, entries: this.#entries.size };
  }

  /** It was looked at too early: it is due again, unless it was asked for anew meanwhile. */
  again(entry: LedgerEntry): void {
    const key = keyOf(entry.cid);
    if (!this.#due.has(key)) this.#due.set(key, entry);
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

import { byteString } from '../model/bytes.ts';
import type { PinKey } from '../model/pin.ts';
import { pinKeyParts } from '../model/pin-key.ts';
import type { Pinset, StoredPin } from '../pinset/pinset.ts';
import { wishName } from './claim-status.ts';
import { BATCHES_REMEMBERED, WATCH_READ_MAX, WISHES_TO_ASK_MAX } from './constants.ts';

/** Revisions after `from` up to `to`: each key once, as it is now. */
export interface PinBatch {
  to: number;
  changes: readonly PinChange[];
}

export interface PinChange {
  key: PinKey;
  /** Undefined: not in the pinset (any more). */
  stored: StoredPin | undefined;
}

/** Reads the pinset's feed for all watches of this peer: those that stand at one revision share one reading. */
export class PinChanges {
  readonly #pinset: Pick<Pinset, 'feed' | 'get'>;
  readonly #batches = new Map<number, PinBatch>();
  readonly #wishesToAsk = new Set<string>();

  constructor(pinset: Pick<Pinset, 'feed' | 'get'>) {
    this.#pinset = pinset;
  }

  /** 'gone': the feed does not reach back so far, or everything changed. Without changes `to` is `revision`. */
  read(revision: number): PinBatch | 'gone' {
    const known = this.#batches.get(revision);
    if (known !== undefined) return known;
    const batch = this.#read(revision);
    if (batch === 'gone' || batch.changes.length === 0) return batch;
    if (this.#batches.size >= BATCHES_REMEMBERED) this.#batches.delete(this.#batches.keys().next().value as number);
    this.#batches.set(revision, batch);
    return batch;
  }

  /**
   * A member has a status of this wish that could not be told yet, or had one: when a claim on it comes, its status will
   * perhaps not change, and must be asked for. Bounded: the oldest are forgotten, and their status comes with its next change.
   */
  mustAsk(cid: Uint8Array): void {
    const name = wishName(cid);
    this.#wishesToAsk.delete(name);
    if (this.#wishesToAsk.size >= WISHES_TO_ASK_MAX) {
      this.#wishesToAsk.delete(this.#wishesToAsk.values().next().value as string);
    }
    this.#wishesToAsk.add(name);
  }

  isToBeAsked(cid: Uint8Array): boolean {
    return this.#wishesToAsk.has(wishName(cid));
  }

  #read(revision: number): PinBatch | 'gone' {
    const entries = this.#pinset.feed.read(revision, WATCH_READ_MAX);
    if (entries === 'gone' || entries.some(({ everything }) => everything)) return 'gone';
    const keys = new Map<string, PinKey>();
    for (const entry of entries) for (const key of entry.keys) keys.set(byteString(key), key);
    const changes = [...keys.values()].map((key) => ({ key, stored: this.#pinset.get(key) }));
    for (const { key, stored } of changes) if (stored === undefined) this.mustAsk(pinKeyParts(key).cid);
    return { to: entries.at(-1)?.revision ?? revision, changes };
  }
}

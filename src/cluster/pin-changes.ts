import { byteString } from '../model/bytes.ts';
import type { PinKey } from '../model/pin.ts';
import { pinKeyParts } from '../model/pin-key.ts';
import type { Pinset, StoredPin } from '../pinset/pinset.ts';
import { readable } from '../pinset/stored-pin.ts';
import { RecentSet } from '../runtime/recent-set.ts';
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
  /** Its nodes may hold it already, so that no change of a status will come: their word must be asked for. */
  mustAsk: boolean;
}

/** Reads the pinset's feed for all watches of this peer: those that stand at one revision share one reading. */
export class PinChanges {
  readonly #pinset: Pick<Pinset, 'feed' | 'get' | 'claims'>;
  readonly #batches = new Map<number, PinBatch>();
  readonly #wishesToAsk = new RecentSet<string>(WISHES_TO_ASK_MAX);

  constructor(pinset: Pick<Pinset, 'feed' | 'get' | 'claims'>) {
    this.#pinset = pinset;
  }

  /**
   * 'gone': the feed does not reach back so far, or everything changed. Without changes `to` is `revision`. Throws DATA_CORRUPT where a
   * pin cannot be read, and remembers nothing of it: it may be put right before the next reading.
   */
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
   * A member said something of this wish that could not be told of any claim; or a claim on it changed just now. The next change
   * of a claim on it may then find a status that stays as it is. Bounded: the oldest are forgotten, and what is said of them comes
   * with the next change of their status.
   */
  remember(cid: Uint8Array): void {
    this.#wishesToAsk.add(wishName(cid));
  }

  #read(revision: number): PinBatch | 'gone' {
    const entries = this.#pinset.feed.read(revision, WATCH_READ_MAX);
    if (entries === 'gone' || entries.some(({ everything }) => everything)) return 'gone';
    const keys = new Map<string, PinKey>();
    for (const entry of entries) for (const key of entry.keys) keys.set(byteString(key), key);
    // A claim that takes the place of another: its wish changes in this very batch.
    const times = new Map<string, number>();
    for (const key of keys.values()) {
      const name = wishName(pinKeyParts(key).cid);
      times.set(name, (times.get(name) ?? 0) + 1);
    }
    const changes = [...keys.values()].map((key) => this.#change(key, times));
    return { to: entries.at(-1)?.revision ?? revision, changes };
  }

  #change(key: PinKey, times: ReadonlyMap<string, number>): PinChange {
    const found = this.#pinset.get(key);
    const stored = found === undefined ? undefined : readable(found);
    const { cid } = pinKeyParts(key);
    const name = wishName(cid);
    const isKnown = this.#wishesToAsk.has(name) || (times.get(name) ?? 0) > 1;
    const mustAsk = stored !== undefined && (isKnown || this.#pinset.claims(cid).length > 1);
    this.remember(cid);
    return { key, stored, mustAsk };
  }
}

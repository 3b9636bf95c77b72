import { byteString } from '../model/bytes.ts';
import type { Entry } from './lanes.ts';

/**
 * Pins that replace others. What is replaced stays on the node until the first attempt at what follows it has ended: the two
 * tend to have blocks in common, on which a node can build (`Wish.updates`), and which no collection shall take before.
 */
export class Successors {
  /** Whose first attempt has not ended, with the key of what it follows. */
  readonly #follows = new Map<Entry, string>();
  /** The other way round; of several the newest. */
  readonly #followers = new Map<string, Entry>();
  /** Unpins that wait for their follower, by key. */
  readonly #waiting = new Map<string, Entry>();

  add(entry: Entry): void {
    if (entry.want.kind !== 'pin' || entry.want.updates === undefined) return;
    const key = byteString(entry.want.updates);
    this.#follows.set(entry, key);
    this.#followers.set(key, entry);
  }

  /** Whether its unpin has to wait: it is handed out again by `ended`. */
  holdBack(entry: Entry): boolean {
    if (!this.#followers.has(entry.key)) return false;
    this.#waiting.set(entry.key, entry);
    return true;
  }

  /** An attempt at that one has ended, or none is needed. Answers who waited for it. */
  ended(entry: Entry): Entry | undefined {
    const key = this.#follows.get(entry);
    if (key === undefined) return undefined;
    this.#follows.delete(entry);
    if (this.#followers.get(key) !== entry) return undefined;
    this.#followers.delete(key);
    const waited = this.#waiting.get(key);
    this.#waiting.delete(key);
    return waited;
  }
}

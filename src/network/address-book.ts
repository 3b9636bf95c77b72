import type { Timer, Timers } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import {
  ADDRESS_BOOK_PEERS_MAX,
  ADDRESS_BOOK_SAVE_DELAY_MS,
  ADDRESS_LENGTH_MAX,
  ADDRESSES_PER_PEER_MAX,
} from './constants.ts';

/** Where addresses of peers are kept over restarts. */
export interface AddressStore {
  /** Peer ID to addresses, as last saved; empty the first time. Rejects only if the place cannot be read. */
  load(): Promise<ReadonlyMap<string, readonly string[]>>;
  /** Replaces all. Called seldom, never twice at a time. */
  save(addresses: ReadonlyMap<string, readonly string[]>): Promise<void>;
}

interface AddressBookNeeds {
  store: AddressStore;
  timers: Timers;
  logger: Logger;
}

/** Addresses of known peers, newest knowledge first. At its limits it forgets the oldest. */
export class AddressBook {
  readonly #needs: AddressBookNeeds;
  readonly #addresses = new Map<string, readonly string[]>();
  #timer: Timer | undefined;
  #saving: Promise<void> = Promise.resolve();

  constructor(needs: AddressBookNeeds) {
    this.#needs = needs;
  }

  async load(): Promise<void> {
    for (const [peerId, addresses] of await this.#needs.store.load()) {
      if (!this.#addresses.has(peerId)) this.#put(peerId, addresses);
    }
  }

  peers(): Iterable<string> {
    return this.#addresses.keys();
  }

  get(peerId: string): readonly string[] {
    return this.#addresses.get(peerId) ?? [];
  }

  add(peerId: string, addresses: readonly string[]): void {
    const known = this.get(peerId);
    const usable = addresses.filter((address) => address.length <= ADDRESS_LENGTH_MAX);
    const merged = [...new Set([...usable, ...known])].slice(0, ADDRESSES_PER_PEER_MAX);
    if (merged.length === known.length && merged.every((address) => known.includes(address))) return;
    this.#put(peerId, merged);
    this.#saveSoon();
  }

  remove(peerId: string): void {
    if (this.#addresses.delete(peerId)) this.#saveSoon();
  }

  /** Writes what has not been written. */
  async flush(): Promise<void> {
    if (this.#timer !== undefined) this.#save();
    await this.#saving;
  }

  #saveSoon(): void {
    this.#timer ??= this.#needs.timers.after(ADDRESS_BOOK_SAVE_DELAY_MS, () => this.#save());
  }

  #put(peerId: string, addresses: readonly string[]): void {
    this.#addresses.delete(peerId);
    this.#addresses.set(peerId, addresses);
    const [oldest] = this.#addresses.keys();
    if (this.#addresses.size > ADDRESS_BOOK_PEERS_MAX && oldest !== undefined) this.#addresses.delete(oldest);
  }

  #save(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#saving = this.#saving
      .then(() => this.#needs.store.save(new Map(this.#addresses)))
      .catch((error: unknown) => this.#needs.logger.warn('the addresses of peers could not be saved', { error }));
  }
}

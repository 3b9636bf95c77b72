import { hash } from 'node:crypto';
import type { PinFields, PinKey } from '../../src/model/pin.ts';
import { pinKey } from '../../src/model/pin-key.ts';
import { encodePinValue } from '../../src/pinset/codec/pin-value.ts';
import { pinset } from '../../src/pinset/local-pinset.ts';
import type { LiveDot, PinOrder, PinQuery, PinRow, Pinset, RowChange, StoredPin } from '../../src/pinset/pinset.ts';
import type { PinsetInit } from '../../src/pinset/pinset-init.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { noMetrics } from '../../src/runtime/metrics.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { type VirtualTime, virtualTime } from '../support/virtual-time.ts';

/** A store that can be opened again. */
export interface StoreHandle {
  readonly storage: Storage;
  /** Closes it, or lets it crash, and opens what is there then. */
  reopen(): Promise<StoreHandle>;
}

/** A pinset on a store, with what tests need around it. */
export class PinsetWorld {
  readonly time: VirtualTime;
  readonly init: PinsetInit;
  handle: StoreHandle;
  pinset: Pinset;
  #sequence = 0;

  private constructor(handle: StoreHandle, init: PinsetInit, time: VirtualTime) {
    this.time = time;
    this.handle = handle;
    this.init = init;
    this.pinset = this.#make();
  }

  static async open(handle: StoreHandle, init: PinsetInit = {}, time = virtualTime()): Promise<PinsetWorld> {
    const world = new PinsetWorld(handle, init, time);
    await world.pinset.open();
    return world;
  }

  get storage(): Storage {
    return this.handle.storage;
  }

  async restart(init: PinsetInit = this.init): Promise<void> {
    await this.pinset.stop();
    this.handle = await this.handle.reopen();
    this.pinset = this.#make(init);
    await this.pinset.open();
  }

  #make(init: PinsetInit = this.init): Pinset {
    const { storage } = this.handle;
    const { time } = this;
    return pinset(init, { storage, clock: time.clock, timers: time.timers, logger: silentLogger, metrics: noMetrics });
  }

  dot(author: number, fields: Partial<PinFields>, more: Partial<LiveDot> = {}): LiveDot {
    const replica = this.pinset.names.replicas.ensure(rid(author));
    const stamp = 1e15 + this.#sequence;
    return {
      replica,
      sequence: ++this.#sequence,
      stamp,
      placementStamp: stamp,
      placementReplica: replica,
      allocations: [],
      value: encodePinValue({ ...plainFields, ...fields }),
      ...more,
    };
  }

  key(number: number, namespace = 'default'): PinKey {
    this.pinset.names.namespaces.ensure(namespace);
    return pinKey(cid(number), namespace);
  }

  /** Replaces rows in a transaction of its own. */
  async put(rows: readonly { key: PinKey; row: PinRow }[]): Promise<void> {
    await this.storage.transaction((tx) => {
      const changes = rows.map(({ key, row }): RowChange => ({ key, before: this.pinset.row(tx, key), after: row }));
      this.pinset.write(tx, changes);
    }).flushed;
    await settled();
  }

  /** `count` pins with numbers from `from` on, in the default namespace. */
  async fill(count: number, from = 0): Promise<void> {
    const rows = Array.from({ length: count }, (_, i) => ({
      key: this.key(from + i),
      row: [this.dot(1, { name: `pin-${from + i}`, createdMs: 1000 + from + i })],
    }));
    await this.put(rows);
  }

  listAll(query: Omit<PinQuery, 'cursor'>, between: () => void = () => {}): StoredPin[] {
    const pins: StoredPin[] = [];
    let cursor: Uint8Array | undefined;
    do {
      const page = this.pinset.list({ ...query, ...(cursor && { cursor }) });
      pins.push(...page.pins);
      cursor = page.cursor;
      between();
    } while (cursor !== undefined);
    return pins;
  }
}

export const plainFields: PinFields = {
  name: '',
  mode: 'recursive',
  replicationMin: -1,
  replicationMax: -1,
  userAllocations: [],
  metadata: [],
  origins: [],
  createdMs: 1000,
  expiresMs: 0,
  updatedFrom: undefined,
  type: 'data',
};

export const orders: readonly PinOrder[] = ['key', 'name', 'created', 'created-descending'];

/** A CID of version 1, or of version 0 for odd numbers, of the content `number`. */
export function cid(number: number): Uint8Array {
  const v0 = Buffer.concat([Buffer.of(0x12, 32), hash('sha256', `content ${number}`, 'buffer')]);
  return number % 2 === 1 ? v0 : Buffer.concat([Buffer.of(1, 0x70), v0]);
}

export function rid(author: number): Uint8Array {
  return hash('sha256', `replica ${author}`, 'buffer').subarray(0, 16);
}

/** Lets everything that waits for a microtask run. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

/** Waits, on the real clock, until something holds; fails after 10 s. */
export async function until(
  what: string,
  holds: () => boolean,
  turn: () => Promise<void> = async () => {},
): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`in vain: ${what}`);
    await turn();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

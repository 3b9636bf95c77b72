import { byteString } from '../../model/bytes.ts';
import { ConnectorError, type HoldMode } from '../connector.ts';
import type { BlockStore } from '../node/block-store.ts';
import type { PinRecords } from '../node/pin-records.ts';

/** The disk of a node in memory: what a new node over the same disk finds again. Everything on it counts as flushed. */
export class MemoryDisk {
  readonly blocks: BlockStore;
  readonly records: PinRecords;
  /** Bytes that still fit; taking and freeing blocks changes it. Set it to fill the disk. */
  freeBytes: number;

  constructor(freeBytes = 2 ** 40) {
    this.freeBytes = freeBytes;
    this.blocks = new MemoryBlocks(this);
    this.records = new MemoryRecords();
  }
}

class MemoryBlocks implements BlockStore {
  readonly #disk: MemoryDisk;
  readonly #blocks = new Map<string, { multihash: Uint8Array; bytes: Uint8Array }>();
  #usedBytes = 0;

  constructor(disk: MemoryDisk) {
    this.#disk = disk;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  async open(): Promise<void> {}
  async close(): Promise<void> {}
  async settled(): Promise<void> {}

  async put(multihash: Uint8Array, bytes: Uint8Array): Promise<void> {
    const key = byteString(multihash);
    if (this.#blocks.has(key)) return;
    if (bytes.length > this.#disk.freeBytes) throw new ConnectorError('DISK_FULL', 'the disk in memory is full');
    this.#blocks.set(key, { multihash: multihash.slice(), bytes: bytes.slice() });
    this.#account(bytes.length);
  }

  async has(multihash: Uint8Array): Promise<boolean> {
    return this.#blocks.has(byteString(multihash));
  }

  async get(multihash: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#blocks.get(byteString(multihash))?.bytes;
  }

  async remove(multihash: Uint8Array, keep: () => boolean): Promise<number | undefined> {
    const key = byteString(multihash);
    const found = this.#blocks.get(key);
    if (found === undefined || keep()) return undefined;
    this.#blocks.delete(key);
    this.#account(-found.bytes.length);
    return found.bytes.length;
  }

  async *list(): AsyncGenerator<Uint8Array> {
    for (const { multihash } of this.#blocks.values()) yield multihash;
  }

  async freeBytes(): Promise<number> {
    return this.#disk.freeBytes;
  }

  #account(bytes: number): void {
    this.#usedBytes += bytes;
    this.#disk.freeBytes -= bytes;
  }
}

class MemoryRecords implements PinRecords {
  readonly #records = new Map<string, { cid: Uint8Array; mode: HoldMode }>();

  async open(): Promise<void> {}
  async close(): Promise<void> {}

  get(cid: Uint8Array): HoldMode | undefined {
    return this.#records.get(byteString(cid))?.mode;
  }

  async put(cid: Uint8Array, mode: HoldMode): Promise<void> {
    this.#records.set(byteString(cid), { cid: cid.slice(), mode });
  }

  async remove(cid: Uint8Array): Promise<void> {
    this.#records.delete(byteString(cid));
  }

  async *list(): AsyncGenerator<{ cid: Uint8Array; mode: HoldMode }> {
    yield* this.#records.values();
  }
}

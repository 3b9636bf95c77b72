import type { ContentPath } from '../../model/content-path.ts';
import { type Clock, sleep, type Timers } from '../../runtime/clock.ts';
import type {
  Block,
  CallOptions,
  Connector,
  HoldMode,
  IpfsNodeId,
  PinCallOptions,
  PutOptions,
  Resolved,
  ResolveOptions,
  Wish,
} from '../connector.ts';
import { DagFetcher } from '../node/dag-fetcher.ts';
import { NodeConnector } from '../node/node-connector.ts';
import { type IpfsWorld, MemoryExchange, type MemoryFaults, noFaults, unreachable } from './ipfs-world.ts';
import { MemoryDisk } from './memory-disk.ts';

export interface MemoryInit {
  /** Any text that is its own: it is not a key. */
  peerId: string;
  world: IpfsWorld;
  /** Given again to a new connector: a restart. Default: an empty one. */
  disk?: MemoryDisk;
  /** Nodes with different keys do not connect. Default: the same for all. */
  networkKey?: string;
  /** Every pin is complete at once, whatever it is, and no blocks are needed: for measuring what is above. Default false. */
  isInstant?: boolean;
}

export interface MemoryNeeds {
  clock: Clock;
  timers: Timers;
}

/** A node in memory, and what a test may do to it. The same walks, records and collection as the embedded one. */
export interface MemoryConnector extends Connector {
  readonly faults: MemoryFaults;
  readonly disk: MemoryDisk;
}

export function memoryConnector(init: MemoryInit, needs: MemoryNeeds): MemoryConnector {
  const disk = init.disk ?? new MemoryDisk();
  const faults = noFaults();
  const { blocks, records } = disk;
  const { peerId, world, networkKey = '', isInstant = false } = init;
  const exchange = new MemoryExchange({ peerId, world, networkKey, blocks, faults });
  const fetcher = new DagFetcher({ blocks, exchange, ...needs });
  const complete: DagFetcher['complete'] = async (...args) => {
    if (!isInstant && !faults.isLying) await fetcher.complete(...args);
  };
  const node = new NodeConnector({ blocks, records, exchange, complete, ...needs });
  return new FaultyConnector(node, { disk, faults }, needs.timers);
}

/** Lets through what the faults allow. */
class FaultyConnector implements MemoryConnector {
  readonly disk: MemoryDisk;
  readonly faults: MemoryFaults;
  readonly #node: Connector;
  readonly #timers: Timers;

  constructor(node: Connector, given: { disk: MemoryDisk; faults: MemoryFaults }, timers: Timers) {
    this.#node = node;
    this.disk = given.disk;
    this.faults = given.faults;
    this.#timers = timers;
  }

  start(): Promise<void> {
    return this.#node.start();
  }

  stop(): Promise<void> {
    return this.#node.stop();
  }

  async id(options: CallOptions): Promise<IpfsNodeId> {
    await this.#pass(options);
    return this.#node.id(options);
  }

  async pin(wish: Wish, options: PinCallOptions): Promise<void> {
    await this.#pass(options);
    await this.#node.pin(wish, options);
  }

  async unpin(cid: Uint8Array, options: CallOptions): Promise<void> {
    await this.#pass(options);
    await this.#node.unpin(cid, options);
  }

  async pinned(cid: Uint8Array, options: CallOptions): Promise<HoldMode | 'none'> {
    await this.#pass(options);
    return this.#node.pinned(cid, options);
  }

  async *list(options: CallOptions): AsyncGenerator<{ cid: Uint8Array; mode: HoldMode }> {
    await this.#pass(options);
    for await (const record of this.#node.list(options)) {
      if (this.faults.isDown) throw unreachable();
      yield record;
    }
  }

  async connect(addresses: readonly string[], options: CallOptions): Promise<void> {
    if (!this.faults.isDown) await this.#node.connect(addresses, options);
  }

  async putBlocks(blocks: readonly Block[], options: PutOptions): Promise<void> {
    await this.#pass(options);
    await this.#node.putBlocks(blocks, options);
  }

  async missingBlocks(cids: readonly Uint8Array[], options: CallOptions): Promise<Uint8Array[]> {
    await this.#pass(options);
    return this.#node.missingBlocks(cids, options);
  }

  async getBlock(cid: Uint8Array, options: CallOptions): Promise<Uint8Array | undefined> {
    await this.#pass(options);
    return this.#node.getBlock(cid, options);
  }

  async resolve(path: ContentPath, options: ResolveOptions): Promise<Resolved> {
    await this.#pass(options);
    return this.#node.resolve(path, options);
  }

  protect(): { release(): void } {
    return this.#node.protect();
  }

  async *collectGarbage(options: CallOptions): AsyncGenerator<{ cid: Uint8Array; bytes: number }> {
    await this.#pass(options);
    yield* this.#node.collectGarbage(options);
  }

  async space(options: CallOptions): Promise<{ usedBytes: number; freeBytes: number }> {
    await this.#pass(options);
    return this.#node.space(options);
  }

  async #pass(options: CallOptions): Promise<void> {
    if (this.faults.callDelayMs > 0) await sleep(this.#timers, this.faults.callDelayMs, options.signal);
    if (this.faults.isDown) throw unreachable();
  }
}

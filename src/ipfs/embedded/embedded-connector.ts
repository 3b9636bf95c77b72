import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { CID } from 'multiformats/cid';
import { byteString } from '../../model/bytes.ts';
import type { Clock, Timers } from '../../runtime/clock.ts';
import { Lifecycle } from '../../runtime/lifecycle.ts';
import type { Logger } from '../../runtime/logger.ts';
import {
  type Block,
  type CallOptions,
  type Connector,
  ConnectorError,
  type HoldMode,
  type IpfsNodeId,
  type PinCallOptions,
  type Wish,
} from '../connector.ts';
import { LISTEN_ADDRESSES_DEFAULT } from '../constants.ts';
import { checkBlock, IDENTITY_CODE } from '../dag/hashers.ts';
import { Turns } from '../turns.ts';
import { wishCid } from '../wish-cid.ts';
import { BlockFiles, storeError } from './block-files.ts';
import { Collector } from './collector.ts';
import { DagFetcher } from './dag-fetcher.ts';
import type { Exchange } from './exchange.ts';
import { HeliaExchange } from './helia-exchange.ts';
import { ipfsHost } from './host.ts';
import { loadNodeKey } from './node-key.ts';
import { lmdbPinRecords, type PinRecords } from './pin-records.ts';

export interface EmbeddedInit {
  /** Where the node keeps its key, blocks and pin records; made when missing. One process at a time. */
  folder: string;
  /** Default `/ip4/0.0.0.0/tcp/9099`. */
  listenAddresses?: readonly string[];
  /**
   * `private`: only nodes with the same 32-byte key, HKDF-SHA256(cluster secret, 'pinfold/ipfs/1'), can connect.
   * `public`: the common IPFS network, without DHT: content comes from sources and from whoever connects.
   */
  network: { kind: 'private'; key: Uint8Array } | { kind: 'public' };
}

export interface EmbeddedNeeds {
  clock: Clock;
  timers: Timers;
  logger: Logger;
}

/** An IPFS node in the process: Helia's bitswap, blocks as files, pin records in LMDB. */
export function embeddedConnector(init: EmbeddedInit, needs: EmbeddedNeeds): Connector {
  return new EmbeddedConnector(init, needs);
}

interface Running {
  records: PinRecords;
  exchange: Exchange;
  fetcher: DagFetcher;
}

class EmbeddedConnector implements Connector {
  readonly #init: EmbeddedInit;
  readonly #needs: EmbeddedNeeds;
  readonly #blocks: BlockFiles;
  readonly #collector: Collector;
  readonly #turns = new Turns();
  readonly #stopping = new AbortController();
  readonly #calls = new Set<Promise<unknown>>();
  readonly #lifecycle: Lifecycle;
  #running: Running | undefined;
  #records: PinRecords | undefined;

  constructor(init: EmbeddedInit, needs: EmbeddedNeeds) {
    this.#init = init;
    this.#needs = needs;
    this.#blocks = new BlockFiles(join(init.folder, 'blocks'));
    this.#collector = new Collector({ blocks: this.#blocks, records: { list: () => this.#up().records.list() } });
    this.#lifecycle = new Lifecycle([
      { name: 'ipfs blocks', start: () => this.#openBlocks(), stop: () => this.#blocks.close() },
      { name: 'ipfs pin records', start: async () => this.#openRecords(), stop: async () => this.#records?.close() },
      this.#exchangeComponent(),
    ]);
  }

  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new ConnectorError('UNREACHABLE', 'the IPFS node is stopping'));
    await Promise.allSettled(this.#calls);
    this.#running = undefined;
    await this.#lifecycle.stop();
  }

  async id(options: CallOptions): Promise<IpfsNodeId> {
    return this.#call(options, async () => this.#up().exchange.id());
  }

  async pin(wish: Wish, options: PinCallOptions): Promise<void> {
    const cid = wishCid(wish.cid);
    return this.#call(options, (signal) =>
      this.#turns.run(byteString(cid.bytes), signal, () => this.#pin(cid, wish, { ...options, signal })),
    );
  }

  async unpin(bytes: Uint8Array, options: CallOptions): Promise<void> {
    const cid = wishCid(bytes);
    await this.#call(options, (signal) =>
      this.#turns.run(byteString(cid.bytes), signal, () => this.#up().records.remove(cid.bytes)),
    );
  }

  pinned(cid: Uint8Array, options: CallOptions): Promise<HoldMode | 'none'> {
    return this.#call(options, async () => this.#up().records.get(wishCid(cid).bytes) ?? 'none');
  }

  async *list(options: CallOptions): AsyncGenerator<{ cid: Uint8Array; mode: HoldMode }> {
    for await (const record of this.#up().records.list()) {
      this.#stopping.signal.throwIfAborted();
      options.signal.throwIfAborted();
      yield record;
    }
  }

  connect(addresses: readonly string[], options: CallOptions): Promise<void> {
    return this.#call(options, (signal) => this.#up().exchange.connect(addresses, { signal }));
  }

  putBlocks(blocks: readonly Block[], options: CallOptions): Promise<void> {
    return this.#call(options, async () => {
      const { exchange } = this.#up();
      const checked = blocks.map((block) => ({ cid: checkedCid(block), bytes: block.bytes }));
      await Promise.all(checked.map((block) => this.#put(block.cid, block.bytes)));
      for (const { cid, bytes } of checked) exchange.have(cid, bytes);
    });
  }

  getBlock(bytes: Uint8Array, options: CallOptions): Promise<Uint8Array | undefined> {
    return this.#call(options, async () => {
      this.#up();
      const { multihash } = wishCid(bytes);
      return multihash.code === IDENTITY_CODE ? multihash.digest : this.#blocks.get(multihash.bytes);
    });
  }

  protect(): { release(): void } {
    return this.#collector.protect();
  }

  async *collectGarbage(options: CallOptions): AsyncGenerator<{ cid: Uint8Array; bytes: number }> {
    this.#up();
    const signal = AbortSignal.any([options.signal, this.#stopping.signal]);
    yield* this.#collector.collect({ signal });
  }

  space(options: CallOptions): Promise<{ usedBytes: number; freeBytes: number }> {
    return this.#call(options, async () => {
      this.#up();
      return { usedBytes: this.#blocks.usedBytes, freeBytes: await this.#blocks.freeBytes() };
    });
  }

  async #pin(cid: CID, wish: Wish, options: PinCallOptions): Promise<void> {
    const { records, fetcher } = this.#up();
    const before = records.get(cid.bytes);
    if (before === wish.mode) return;
    if (before !== 'recursive') await fetcher.complete(cid, wish, options);
    options.signal.throwIfAborted();
    await records.put(cid.bytes, wish.mode);
    if (!options.signal.aborted) return;
    await (before === undefined ? records.remove(cid.bytes) : records.put(cid.bytes, before));
    throw options.signal.reason;
  }

  async #put(cid: CID, bytes: Uint8Array): Promise<void> {
    if (cid.multihash.code === IDENTITY_CODE) return;
    this.#collector.keep(cid.multihash.bytes);
    await this.#blocks.put(cid.multihash.bytes, bytes);
  }

  /** Every call ends when the node stops, and the stop waits for it. */
  async #call<T>(options: CallOptions, fn: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const signal = AbortSignal.any([options.signal, this.#stopping.signal]);
    signal.throwIfAborted();
    const call = fn(signal);
    this.#calls.add(call);
    try {
      return await call;
    } finally {
      this.#calls.delete(call);
    }
  }

  #up(): Running {
    if (this.#running === undefined) throw new ConnectorError('UNREACHABLE', 'the IPFS node is not running');
    return this.#running;
  }

  async #openBlocks(): Promise<void> {
    await mkdir(this.#init.folder, { recursive: true });
    await chmod(this.#init.folder, 0o700);
    await this.#blocks.open();
  }

  #openRecords(): void {
    try {
      this.#records = lmdbPinRecords(join(this.#init.folder, 'pins'));
    } catch (cause) {
      throw storeError(cause);
    }
  }

  #exchangeComponent() {
    let exchange: Exchange | undefined;
    return {
      name: 'ipfs exchange',
      start: async () => {
        const { folder, network, listenAddresses = LISTEN_ADDRESSES_DEFAULT } = this.#init;
        const host = await ipfsHost({
          privateKey: await loadNodeKey(folder),
          listenAddresses,
          swarmKey: network.kind === 'private' ? network.key : undefined,
        });
        exchange = new HeliaExchange({ host, blocks: this.#blocks, ...this.#needs });
        await exchange.start();
        this.#goLive(exchange);
      },
      stop: async () => exchange?.stop(),
    };
  }

  #goLive(exchange: Exchange): void {
    const records = this.#records as PinRecords;
    const fetcher = new DagFetcher({ blocks: this.#blocks, collector: this.#collector, exchange, ...this.#needs });
    this.#running = { records, exchange, fetcher };
  }
}

function checkedCid(block: Block): CID {
  const cid = wishCid(block.cid);
  checkBlock(cid, block.bytes);
  return cid;
}

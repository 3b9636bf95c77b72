import type { CID } from 'multiformats/cid';
import { byteString } from '../../model/bytes.ts';
import type { ContentPath } from '../../model/content-path.ts';
import { mergeSignals } from '../../runtime/abort.ts';
import type { Clock, Timers } from '../../runtime/clock.ts';
import { Lifecycle } from '../../runtime/lifecycle.ts';
import { Calls } from '../calls.ts';
import {
  type Block,
  type CallOptions,
  type Connector,
  ConnectorError,
  type HoldMode,
  type IpfsNodeId,
  type PinCallOptions,
  type PutOptions,
  type Resolved,
  type ResolveOptions,
  type Wish,
} from '../connector.ts';
import { checkBlock, IDENTITY_CODE } from '../dag/hashers.ts';
import { resolveFrom } from '../path-resolution.ts';
import { Turns } from '../turns.ts';
import { wishCid } from '../wish-cid.ts';
import type { BlockLoader } from './block-loader.ts';
import type { BlockStore } from './block-store.ts';
import { Collector } from './collector.ts';
import { DagFetcher } from './dag-fetcher.ts';
import type { Exchange } from './exchange.ts';
import type { PinRecords } from './pin-records.ts';

export interface NodeConnectorNeeds {
  blocks: BlockStore;
  records: PinRecords;
  exchange: Exchange;
  clock: Clock;
  timers: Timers;
  /** In place of fetching and checking, for a double that lies. */
  complete?: DagFetcher['complete'];
}

/** What every IPFS node in the process has in common: wishes, walks, records and collection over three ports. */
export class NodeConnector implements Connector {
  readonly #needs: NodeConnectorNeeds;
  readonly #collector: Collector;
  readonly #complete: DagFetcher['complete'];
  readonly #loader: BlockLoader;
  readonly #turns = new Turns();
  readonly #calls = new Calls(() => this.#checkUp());
  readonly #lifecycle: Lifecycle;

  constructor(needs: NodeConnectorNeeds) {
    const { blocks, records, exchange } = needs;
    this.#needs = needs;
    this.#collector = new Collector({ blocks, records });
    const fetcher = new DagFetcher(needs);
    this.#loader = fetcher.loader;
    this.#complete =
      needs.complete ?? ((root, wish, visited, options) => fetcher.complete(root, wish, visited, options));
    this.#lifecycle = new Lifecycle([
      { name: 'ipfs blocks', start: () => blocks.open(), stop: () => blocks.close() },
      { name: 'ipfs pin records', start: () => records.open(), stop: () => records.close() },
      { name: 'ipfs exchange', start: () => exchange.start(), stop: () => exchange.stop() },
    ]);
  }

  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  async stop(): Promise<void> {
    await this.#calls.stop(new ConnectorError('UNREACHABLE', 'the IPFS node is stopping'));
    await this.#lifecycle.stop();
  }

  async id(options: CallOptions): Promise<IpfsNodeId> {
    return this.#calls.run(options, async () => this.#needs.exchange.id());
  }

  async pin(wish: Wish, options: PinCallOptions): Promise<void> {
    const cid = wishCid(wish.cid);
    return this.#calls.run(options, (signal) =>
      this.#turns.run(byteString(cid.bytes), signal, () => this.#pin(cid, wish, { ...options, signal })),
    );
  }

  async unpin(bytes: Uint8Array, options: CallOptions): Promise<void> {
    const cid = wishCid(bytes);
    await this.#calls.run(options, (signal) =>
      this.#turns.run(byteString(cid.bytes), signal, () => this.#needs.records.remove(cid.bytes)),
    );
  }

  pinned(cid: Uint8Array, options: CallOptions): Promise<HoldMode | 'none'> {
    return this.#calls.run(options, async () => this.#needs.records.get(wishCid(cid).bytes) ?? 'none');
  }

  async *list(options: CallOptions): AsyncGenerator<{ cid: Uint8Array; mode: HoldMode }> {
    this.#checkUp();
    for await (const record of this.#needs.records.list()) {
      this.#calls.stopping.throwIfAborted();
      options.signal.throwIfAborted();
      yield record;
    }
  }

  connect(addresses: readonly string[], options: CallOptions): Promise<void> {
    return this.#calls.run(options, (signal) => this.#needs.exchange.connect(addresses, { signal }));
  }

  putBlocks(blocks: readonly Block[], options: PutOptions): Promise<void> {
    return this.#calls.run(options, async () => {
      const { exchange } = this.#needs;
      const cidOf = options.areChecked === true ? ({ cid }: Block) => wishCid(cid) : checkedCid;
      const checked = blocks.map((block) => ({ cid: cidOf(block), bytes: block.bytes }));
      await Promise.all(checked.map((block) => this.#put(block.cid, block.bytes)));
      for (const { cid, bytes } of checked) exchange.have(cid, bytes);
    });
  }

  missingBlocks(cids: readonly Uint8Array[], options: CallOptions): Promise<Uint8Array[]> {
    return this.#calls.run(options, async () => {
      const { blocks } = this.#needs;
      const there = await Promise.all(
        cids.map((bytes) => {
          const { multihash } = wishCid(bytes);
          return multihash.code === IDENTITY_CODE || blocks.has(multihash.bytes);
        }),
      );
      // What `has` tells of may still be on its way to the disk.
      if (there.includes(true)) await blocks.settled();
      return cids.filter((_, at) => !there[at]);
    });
  }

  getBlock(bytes: Uint8Array, options: CallOptions): Promise<Uint8Array | undefined> {
    return this.#calls.run(options, async () => {
      const { multihash } = wishCid(bytes);
      return multihash.code === IDENTITY_CODE ? multihash.digest : this.#needs.blocks.get(multihash.bytes);
    });
  }

  resolve(path: ContentPath, options: ResolveOptions): Promise<Resolved> {
    return this.#calls.run(options, async (signal) => {
      if (path.kind === 'ipns') throw new ConnectorError('NO_NAMES', 'this IPFS node resolves no /ipns names');
      const { exchange, clock, timers } = this.#needs;
      return resolveFrom(
        path.root,
        path.segments,
        { ...options, signal },
        {
          local: (cid) => this.#loader.local(cid),
          fetch: (cid, options) => this.#loader.fetch(cid, options),
          connect: (addresses, options) => exchange.connect(addresses, options),
          reask: () => exchange.reask(),
          clock,
          timers,
        },
      );
    });
  }

  protect(): { release(): void } {
    return this.#collector.protect();
  }

  async *collectGarbage(options: CallOptions): AsyncGenerator<{ cid: Uint8Array; bytes: number }> {
    this.#checkUp();
    using scope = mergeSignals(options.signal, this.#calls.stopping);
    yield* this.#collector.collect({ signal: scope.signal });
  }

  space(options: CallOptions): Promise<{ usedBytes: number; freeBytes: number }> {
    const { blocks } = this.#needs;
    return this.#calls.run(options, async () => ({ usedBytes: blocks.usedBytes, freeBytes: await blocks.freeBytes() }));
  }

  async #pin(cid: CID, wish: Wish, options: PinCallOptions): Promise<void> {
    const before = this.#needs.records.get(cid.bytes);
    if (before === wish.mode) return;
    if (before === 'recursive') return this.#record(cid, wish.mode, before, options);
    // The collector lets go of what was walked only when the record that holds it is there.
    await this.#collector.whileWalking(async (visited) => {
      await this.#complete(cid, wish, visited, options);
      await this.#record(cid, wish.mode, before, options);
    });
  }

  async #record(cid: CID, mode: HoldMode, before: HoldMode | undefined, options: CallOptions): Promise<void> {
    const { records } = this.#needs;
    options.signal.throwIfAborted();
    await records.put(cid.bytes, mode);
    if (!options.signal.aborted) return;
    await (before === undefined ? records.remove(cid.bytes) : records.put(cid.bytes, before));
    throw options.signal.reason;
  }

  async #put(cid: CID, bytes: Uint8Array): Promise<void> {
    if (cid.multihash.code === IDENTITY_CODE) return;
    this.#collector.keep(cid.multihash.bytes);
    await this.#needs.blocks.put(cid.multihash.bytes, bytes);
  }

  #checkUp(): void {
    if (this.#lifecycle.state !== 'running') throw new ConnectorError('UNREACHABLE', 'the IPFS node is not running');
  }
}

function checkedCid(block: Block): CID {
  const cid = wishCid(block.cid);
  checkBlock(cid, block.bytes);
  return cid;
}

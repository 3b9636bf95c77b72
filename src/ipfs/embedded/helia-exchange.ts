import { withBitswap } from '@helia/bitswap';
import type { Libp2p, PeerId } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { BaseBlockstore } from 'blockstore-core';
import { type BlockBroker, createHeliaLight, type Helia } from 'helia';
import type { CID } from 'multiformats/cid';
import { sleep, type Timers } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { type CallOptions, ConnectorError, type IpfsNodeId } from '../connector.ts';
import { CONNECT_TIMEOUT_MS, DIALS_IN_FLIGHT_MAX, REASK_PAUSE_MS, SOURCES_MAX, STOP_TIMEOUT_MS } from '../constants.ts';
import { checkBlock, hashers } from '../dag/hashers.ts';
import { forEachLimited } from '../for-each-limited.ts';
import type { BlockStore } from '../node/block-store.ts';
import type { Exchange } from '../node/exchange.ts';
import { unlessAborted } from '../turns.ts';
import { SharedWants } from './shared-wants.ts';

/** The blocks that it gives away. */
type SentBlocks = Pick<BlockStore, 'has' | 'get'>;

export interface HeliaExchangeNeeds {
  /** Makes the host; not started: the exchange starts and stops it. */
  host: () => Promise<Libp2p>;
  blocks: SentBlocks;
  timers: Timers;
  logger: Logger;
}

/**
 * Helia's bitswap over a host of ours. Of Helia only that is used: its pins, routing, gateways and storage are left
 * out, and the host's start and stop stay here, because a failed start of Helia is not unwound.
 */
export class HeliaExchange implements Exchange {
  readonly #needs: HeliaExchangeNeeds;
  readonly #wants: SharedWants;
  #host: Libp2p | undefined;
  #helia: Helia | undefined;
  #bitswap: BlockBroker | undefined;

  constructor(needs: HeliaExchangeNeeds) {
    this.#needs = needs;
    this.#wants = new SharedWants({
      attempt: (cid, options) => this.#attempt(cid, options),
      pause: (options) => sleep(needs.timers, REASK_PAUSE_MS, options.signal),
    });
  }

  async start(): Promise<void> {
    const host = await this.#needs.host();
    this.#host = host;
    const helia = createHeliaLight({ blockstore: new GivenBlocks(this.#needs.blocks), hashers: [...hashers.values()] });
    const add = helia.addBlockBroker.bind(helia);
    helia.addBlockBroker = (broker) => {
      if (typeof broker !== 'function') this.#bitswap = broker;
      add(broker);
    };
    this.#helia = withBitswap(Object.assign(helia, { libp2p: host }));
    await host.start();
    await this.#helia.start();
  }

  /** A host that failed to stop stays `stopping` for ever: it is not waited for any longer than a while. */
  async stop(): Promise<void> {
    const gaveUp = new AbortController();
    const fail = () => gaveUp.abort(new Error('the IPFS host does not stop'));
    const timer = this.#needs.timers.after(STOP_TIMEOUT_MS, fail);
    try {
      await unlessAborted(this.#stopParts(), gaveUp.signal);
    } finally {
      timer.cancel();
    }
  }

  async #stopParts(): Promise<void> {
    try {
      await this.#helia?.stop();
    } finally {
      await this.#host?.stop();
    }
  }

  id(): IpfsNodeId {
    const host = this.#host;
    if (host?.status !== 'started') throw new ConnectorError('UNREACHABLE', 'the IPFS node is not running');
    return {
      peerId: host.peerId.toString(),
      addresses: host.getMultiaddrs().map(String),
      agent: `${this.#helia?.info.name}/${this.#helia?.info.version}`,
    };
  }

  async connect(addresses: readonly string[], options: CallOptions): Promise<void> {
    options.signal.throwIfAborted();
    const targets = [...byPeer(addresses, this.#needs.logger)].slice(0, SOURCES_MAX);
    await forEachLimited(targets, DIALS_IN_FLIGHT_MAX, ([peerId, list]) => this.#dial(peerId, list, options));
  }

  want(cid: CID, options: CallOptions): Promise<Uint8Array> {
    return this.#wants.want(cid, options);
  }

  reask(): void {
    this.#wants.reask();
  }

  have(cid: CID, bytes: Uint8Array): void {
    this.#wants.have(cid, bytes);
    this.#bitswap?.announce?.(cid)?.catch((cause) => this.#needs.logger.debug('block not announced', { cause }));
  }

  async #attempt(cid: CID, options: CallOptions): Promise<Uint8Array> {
    if (this.#bitswap?.retrieve === undefined) throw new Error('bitswap is not started');
    // Checked again: bitswap compares digests only, not by which function they were made.
    const bytes = await this.#bitswap.retrieve(cid, options);
    checkBlock(cid, bytes);
    return bytes;
  }

  async #dial(peerId: string, addresses: Multiaddr[], options: CallOptions): Promise<void> {
    const { logger, timers } = this.#needs;
    const host = this.#host;
    if (host === undefined || peerId === host.peerId.toString()) return;
    const late = new AbortController();
    const timer = timers.after(CONNECT_TIMEOUT_MS, () => late.abort(new Error('dialling took too long')));
    try {
      const peer: PeerId = peerIdFromString(peerId);
      if (host.getConnections(peer).length > 0) return;
      await host.dial(addresses, { signal: AbortSignal.any([options.signal, late.signal]) });
    } catch (cause) {
      options.signal.throwIfAborted();
      logger.debug('source not reached', { peerId, cause });
    } finally {
      timer.cancel();
    }
  }
}

/** Those that name a peer, grouped by it. Others are left out: who answers there could not be told. */
function byPeer(addresses: readonly string[], logger: Logger): Map<string, Multiaddr[]> {
  const peers = new Map<string, Multiaddr[]>();
  for (const text of addresses) {
    try {
      const address = multiaddr(text);
      const peerId = address.getComponents().findLast((component) => component.name === 'p2p')?.value;
      if (peerId === undefined) throw new Error('no /p2p/ in it');
      peers.set(peerId, [...(peers.get(peerId) ?? []), address]);
    } catch (cause) {
      logger.debug('source address not usable', { address: text, cause });
    }
  }
  return peers;
}

/** What Helia's bitswap reads the blocks to send from. It never writes. */
class GivenBlocks extends BaseBlockstore {
  readonly #blocks: SentBlocks;

  constructor(blocks: SentBlocks) {
    super();
    this.#blocks = blocks;
  }

  override has(cid: CID): Promise<boolean> {
    return this.#blocks.has(cid.multihash.bytes);
  }

  override async *get(cid: CID): AsyncGenerator<Uint8Array> {
    const bytes = await this.#blocks.get(cid.multihash.bytes);
    if (bytes === undefined) throw Object.assign(new Error('not here'), { name: 'NotFoundError' });
    yield bytes;
  }
}

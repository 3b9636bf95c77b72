import type { Libp2p } from '@libp2p/interface';
import type { CID } from 'multiformats/cid';
import { PinfoldError } from '../../model/errors.ts';
import { deadlineSignal, raceSignal } from '../../runtime/abort.ts';
import type { Clock, Timers } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { type CallOptions, ConnectorError, type IpfsNodeId } from '../connector.ts';
import {
  CONNECT_TIMEOUT_MS,
  DIALS_IN_FLIGHT_MAX,
  SOURCE_ADDRESSES_MAX,
  SOURCES_MAX,
  STOP_TIMEOUT_MS,
} from '../constants.ts';
import { forEachLimited } from '../for-each-limited.ts';
import type { IpfsMetrics } from '../metrics.ts';
import type { BlockStore } from '../node/block-store.ts';
import type { Exchange } from '../node/exchange.ts';
import { DialTurns, parsedAddress, sourcesByPeer } from '../sources.ts';
import { Bitswap } from './bitswap/bitswap.ts';

/** The blocks that it gives away. */
type SentBlocks = Pick<BlockStore, 'has' | 'get'>;

export interface Libp2pExchangeInit {
  /** What the node is called. */
  agent: string;
  /** Of the host, for people. */
  listenAddresses: readonly string[];
}

export interface Libp2pExchangeNeeds {
  /** Makes the host; not started: the exchange starts and stops it. */
  host: () => Promise<Libp2p>;
  blocks: SentBlocks;
  metrics: IpfsMetrics;
  clock: Clock;
  timers: Timers;
  logger: Logger;
}

/** Bitswap over a libp2p host of its own. */
export class Libp2pExchange implements Exchange {
  readonly #init: Libp2pExchangeInit;
  readonly #needs: Libp2pExchangeNeeds;
  #host: Libp2p | undefined;
  #bitswap: Bitswap | undefined;
  readonly #turns = new DialTurns();

  constructor(init: Libp2pExchangeInit, needs: Libp2pExchangeNeeds) {
    this.#init = init;
    this.#needs = needs;
  }

  async start(): Promise<void> {
    const host = await this.#needs.host();
    this.#host = host;
    try {
      await host.start();
    } catch (cause) {
      const addresses = this.#init.listenAddresses.join(', ');
      const advice = 'is another daemon or IPFS node running? Change ipfs.listen or stop it';
      throw new PinfoldError('CONFIG_INVALID', `the IPFS node cannot listen on ${addresses}; ${advice}`, { cause });
    }
    this.#bitswap = new Bitswap({ ...this.#needs, host });
    await this.#bitswap.start();
  }

  /** A host that failed to stop stays `stopping` for ever: it is not waited for any longer than a while. */
  async stop(): Promise<void> {
    using scope = deadlineSignal(this.#needs.timers, STOP_TIMEOUT_MS);
    await raceSignal(this.#stopParts(), scope.signal);
  }

  async #stopParts(): Promise<void> {
    try {
      await this.#bitswap?.stop();
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
      agent: this.#init.agent,
    };
  }

  async connect(addresses: readonly string[], options: CallOptions): Promise<void> {
    options.signal.throwIfAborted();
    const targets = this.#inTurn(sourcesByPeer(addresses));
    await forEachLimited(targets, DIALS_IN_FLIGHT_MAX, ([peerId, list]) => this.#dial(peerId, list, options));
  }

  /** Who is not connected; with more than may be dialled at once, the next ones with each call. */
  #inTurn(sources: ReadonlyMap<string, readonly string[]>): readonly [string, readonly string[]][] {
    const host = this.#host;
    if (host === undefined || sources.size === 0) return [];
    const connected = new Set(host.getPeers().map(String)).add(host.peerId.toString());
    const away = [...sources].filter(([peerId]) => !connected.has(peerId));
    return this.#turns.take(away, SOURCES_MAX);
  }

  async want(cid: CID, options: CallOptions): Promise<Uint8Array> {
    return this.#running.want(cid, options);
  }

  /** Blocks that are being fetched, and nodes that know of it. */
  get counts(): { wants: number; peers: number } {
    return { wants: this.#bitswap?.wants ?? 0, peers: this.#bitswap?.peers ?? 0 };
  }

  reask(): void {
    this.#running.reask();
  }

  have(cid: CID, bytes: Uint8Array): void {
    this.#running.have(cid, bytes);
  }

  get #running(): Bitswap {
    if (this.#bitswap === undefined) throw new ConnectorError('UNREACHABLE', 'the IPFS node is not running');
    return this.#bitswap;
  }

  async #dial(peerId: string, addresses: readonly string[], options: CallOptions): Promise<void> {
    const { logger, timers } = this.#needs;
    using scope = deadlineSignal(timers, CONNECT_TIMEOUT_MS, options.signal);
    try {
      const usable = addresses.slice(0, SOURCE_ADDRESSES_MAX).flatMap(parsedAddress);
      await this.#host?.dial(usable, { signal: scope.signal });
    } catch (cause) {
      options.signal.throwIfAborted();
      logger.debug('source not reached', { peerId, cause });
    }
  }
}

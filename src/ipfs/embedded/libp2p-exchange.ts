import type { Libp2p, PeerId } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import type { CID } from 'multiformats/cid';
import { PinfoldError } from '../../model/errors.ts';
import { deadlineSignal, raceSignal } from '../../runtime/abort.ts';
import type { Clock, Timers } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { type CallOptions, ConnectorError, type IpfsNodeId } from '../connector.ts';
import { CONNECT_TIMEOUT_MS, DIALS_IN_FLIGHT_MAX, SOURCES_MAX, STOP_TIMEOUT_MS } from '../constants.ts';
import { forEachLimited } from '../for-each-limited.ts';
import type { IpfsMetrics } from '../metrics.ts';
import type { BlockStore } from '../node/block-store.ts';
import type { Exchange } from '../node/exchange.ts';
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
    const targets = [...byPeer(addresses, this.#needs.logger)].slice(0, SOURCES_MAX);
    await forEachLimited(targets, DIALS_IN_FLIGHT_MAX, ([peerId, list]) => this.#dial(peerId, list, options));
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

  async #dial(peerId: string, addresses: Multiaddr[], options: CallOptions): Promise<void> {
    const { logger, timers } = this.#needs;
    const host = this.#host;
    if (host === undefined || peerId === host.peerId.toString()) return;
    using scope = deadlineSignal(timers, CONNECT_TIMEOUT_MS, options.signal);
    try {
      const peer: PeerId = peerIdFromString(peerId);
      if (host.getConnections(peer).length > 0) return;
      await host.dial(addresses, { signal: scope.signal });
    } catch (cause) {
      options.signal.throwIfAborted();
      logger.debug('source not reached', { peerId, cause });
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

import type { Connection, PrivateKey, Stream } from '@libp2p/interface';
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id';
import type { Multiaddr } from '@multiformats/multiaddr';
import { multiaddr } from '@multiformats/multiaddr';
import { PinfoldError } from '../../model/errors.ts';
import type { Clock, Timers } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { MetricsRegister } from '../../runtime/metrics.ts';
import type { Random } from '../../runtime/random.ts';
import { AddressBook, type AddressStore } from '../address-book.ts';
import type { PeerCodecs } from '../codecs.ts';
import { peerCodecs } from '../codecs.ts';
import { CONNECTIONS_MAX, RPC_PROTOCOL, RPC_STREAMS_PER_PEER_MAX, STOP_TIMEOUT_MS } from '../constants.ts';
import { type NetworkMetrics, networkMetrics } from '../metrics.ts';
import type { Gossip, Network, PeerRpc } from '../network.ts';
import type { PeerPolicy } from '../peer-methods.ts';
import { cancelled, RpcClient, unreachable } from '../rpc/client.ts';
import type { FramePipe } from '../rpc/frame.ts';
import { RpcServer } from '../rpc/server.ts';
import { createNode, type Node } from './create-node.ts';
import { Libp2pGossip } from './gossip.ts';
import { GossipWatch } from './gossip-watch.ts';
import { privateKeyOfSeed } from './identity.ts';
import { Redialer } from './redialer.ts';
import { StreamPipe } from './stream-pipe.ts';
import { StreamPool } from './stream-pool.ts';

export interface Libp2pNetworkInit {
  /** The 32-byte seed of this peer's Ed25519 key. */
  privateKey: Uint8Array;
  /** The cluster's secret. Undefined, which anyone may connect to, only for who asked for it. */
  secret: Uint8Array | undefined;
  /** Multiaddresses. `/ip4/127.0.0.1/tcp/0` takes any free port. */
  listen: readonly string[];
  /** What others are told instead of the listening addresses. Default: those. */
  announce?: readonly string[];
  /** Addresses, with or without /p2p/, that are dialled until connected, for as long as the network runs. */
  bootstrap?: readonly string[];
  /** Finds peers of the same secret on the local network. Default: no. */
  mdns?: boolean;
  /** At the limit libp2p closes the least valuable connections. Default: CONNECTIONS_MAX. */
  connectionsMax?: number;
}

export interface Libp2pNetworkNeeds {
  addresses: AddressStore;
  policy: PeerPolicy;
  /** Messages coded by hand. Default: the generated code for all. */
  codecs?: Partial<PeerCodecs>;
  clock: Clock;
  timers: Timers;
  random: Random;
  logger: Logger;
  metrics: MetricsRegister;
}

/** The network over TCP, in a libp2p network of its own. */
export function libp2pNetwork(init: Libp2pNetworkInit, needs: Libp2pNetworkNeeds): Network {
  return new Libp2pNetwork(init, needs);
}

class Libp2pNetwork implements Network {
  readonly peerId: string;
  readonly gossip: Gossip;
  readonly rpc: PeerRpc;
  readonly #init: Libp2pNetworkInit;
  readonly #needs: Libp2pNetworkNeeds;
  readonly #logger: Logger;
  readonly #metrics: NetworkMetrics;
  readonly #privateKey: PrivateKey;
  readonly #book: AddressBook;
  readonly #gossip: Libp2pGossip;
  readonly #gossipWatch = new GossipWatch();
  readonly #server: RpcServer;
  readonly #pool: StreamPool;
  readonly #redialer: Redialer;
  readonly #connected = new Set<string>();
  readonly #listeners = new Set<(peerId: string, up: boolean) => void>();
  /** Who answered at a bootstrap address. */
  readonly #bootstrapPeers = new Map<string, string>();
  #node: Node | undefined;

  constructor(init: Libp2pNetworkInit, needs: Libp2pNetworkNeeds) {
    this.#init = init;
    this.#needs = needs;
    this.#logger = needs.logger.child('network');
    this.#metrics = networkMetrics(needs.metrics);
    this.#privateKey = privateKeyOfSeed(init.privateKey);
    this.peerId = peerIdFromPrivateKey(this.#privateKey).toString();
    for (const address of init.bootstrap ?? []) parseAddress(address);

    const { clock, timers, random, policy } = needs;
    const shared = { clock, timers, logger: this.#logger, metrics: this.#metrics, codecs: peerCodecs(needs.codecs) };
    this.#book = new AddressBook({ store: needs.addresses, timers, logger: this.#logger });
    this.#pool = new StreamPool({ clock, timers });
    this.#gossip = new Libp2pGossip(shared);
    this.gossip = this.#gossip;
    const server = new RpcServer({ ...shared, policy });
    this.#server = server;
    const client = new RpcClient({
      ...shared,
      open: (peerId, options) => this.#openStream(peerId, options.signal),
      recycle: (peerId, pipe) => this.#pool.put(peerId, pipe),
    });
    this.rpc = {
      call: (peerId, method, requests, options) => client.call(peerId, method, requests, options),
      serve: (handlers) => server.serve(handlers),
    };
    this.#redialer = new Redialer({
      targets: () => this.#redialTargets(),
      isConnected: (target) => this.#connected.has(this.#peerOfTarget(target)),
      connectedCount: () => this.#connected.size,
      dial: (target) => this.#redial(target),
      clock,
      timers,
      random,
    });
  }

  addresses(): string[] {
    return this.#node?.getMultiaddrs().map((address) => address.toString()) ?? [];
  }

  connected(): string[] {
    return [...this.#connected];
  }

  latencyMs(peerId: string): number | undefined {
    if (!this.#connected.has(peerId)) return undefined;
    const connections = this.#node?.getConnections(peerIdFromString(peerId)) ?? [];
    const measured = connections.flatMap(({ rtt }) => (rtt === undefined ? [] : [rtt]));
    return measured.length === 0 ? undefined : Math.min(...measured);
  }

  onConnection(listener: (peerId: string, up: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async dial(address: string, { signal }: { signal: AbortSignal }): Promise<string> {
    const connection = await this.#connect([parseAddress(address)], address, signal);
    const peerId = connection.remotePeer.toString();
    this.remember(peerId, [address]);
    return peerId;
  }

  remember(peerId: string, addresses: readonly string[]): void {
    const usable = addresses.filter((address) => isAddressOf(address, peerId));
    if (peerId === this.peerId || usable.length === 0) return;
    this.#book.add(peerId, usable);
    if (!this.#connected.has(peerId)) this.#redialer.retrySoon(peerId);
  }

  forget(peerId: string): void {
    this.#book.remove(peerId);
  }

  async start(): Promise<void> {
    await this.#book.load();
    const needs = { clock: this.#needs.clock, logger: this.#logger, metrics: this.#metrics };
    const init = {
      mdns: false,
      announce: [],
      connectionsMax: CONNECTIONS_MAX,
      ...this.#init,
      privateKey: this.#privateKey,
    };
    const node = await createNode(init, this.#gossip, needs);
    this.#node = node;
    this.#listen(node);
    await node.handle(RPC_PROTOCOL, (stream, connection) => this.#onStream(stream, connection), {
      maxInboundStreams: RPC_STREAMS_PER_PEER_MAX,
      maxOutboundStreams: RPC_STREAMS_PER_PEER_MAX,
    });
    try {
      await node.start();
    } catch (cause) {
      const addresses = this.#init.listen.join(', ');
      const advice = 'is another daemon running? Change network.listen or stop it';
      throw new PinfoldError('CONFIG_INVALID', `the network cannot listen on ${addresses}; ${advice}`, { cause });
    }
    this.#gossip.start(node.services.gossip);
    this.#redialer.start();
    this.#logger.info('the network is up', { peerId: this.peerId, addresses: this.addresses() });
  }

  async stop(): Promise<void> {
    this.#redialer.stop();
    this.#gossip.stop();
    await this.#server.stop();
    this.#pool.clear(new PinfoldError('SHUTTING_DOWN', 'this peer is stopping'));
    await this.#book.flush();
    if (this.#node !== undefined) await this.#stopNode(this.#node);
  }

  /** A libp2p node whose `stop` fails says `stopping` for ever and may keep sockets: whatever it does, they are cut. */
  async #stopNode(node: Node): Promise<void> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = this.#needs.timers.after(STOP_TIMEOUT_MS, () => reject(new Error('libp2p did not stop in time')));
    try {
      await Promise.race([node.stop(), late]);
    } finally {
      timer.cancel();
      for (const connection of node.getConnections()) connection.abort(new Error('this peer is stopping'));
    }
  }

  #listen(node: Node): void {
    node.addEventListener('peer:connect', ({ detail }) => this.#onPeer(detail.toString(), true));
    node.addEventListener('peer:disconnect', ({ detail }) => this.#onPeer(detail.toString(), false));
    node.addEventListener('peer:identify', ({ detail }) => this.#learn(detail.peerId.toString(), detail.listenAddrs));
    node.addEventListener('peer:discovery', ({ detail }) => this.#learn(detail.id.toString(), detail.multiaddrs));
    node.services.gossip.addEventListener('gossipsub:heartbeat', () => this.#checkGossip(node));
  }

  #onPeer(peerId: string, up: boolean): void {
    if (up) this.#connected.add(peerId);
    else this.#connected.delete(peerId);
    this.#metrics.connectedPeers.set(this.#connected.size);
    this.#logger.debug(up ? 'a peer connected' : 'a peer disconnected', { peerId });
    for (const listener of this.#listeners) listener(peerId, up);
  }

  #learn(peerId: string, addresses: readonly Multiaddr[]): void {
    this.remember(peerId, addresses.map(String));
  }

  #checkGossip(node: Node): void {
    for (const connection of this.#gossipWatch.check(node.getConnections())) {
      this.#logger.warn('a peer lost its gossip stream and is dialled anew', {
        peerId: connection.remotePeer.toString(),
      });
      connection.abort(new Error('the gossip stream is gone'));
    }
  }

  #onStream(stream: Stream, connection: Connection): void {
    void this.#server.accept(new StreamPipe(stream), connection.remotePeer.toString());
  }

  async #openStream(peerId: string, signal: AbortSignal): Promise<FramePipe> {
    const idle = this.#pool.take(peerId);
    if (idle !== undefined) return idle;
    const connection = this.#connectionTo(peerId) ?? (await this.#connectTo(peerId, signal));
    try {
      const options = { signal, maxOutboundStreams: RPC_STREAMS_PER_PEER_MAX };
      return new StreamPipe(await connection.newStream([RPC_PROTOCOL], options));
    } catch (error) {
      if (signal.aborted) throw cancelled(signal.reason);
      if (error instanceof Error && error.name === 'TooManyOutboundProtocolStreamsError') {
        throw new PinfoldError('LIMIT_REACHED', 'too many calls to one peer', { facts: { peerId }, cause: error });
      }
      throw unreachable(peerId, error);
    }
  }

  #connectionTo(peerId: string): Connection | undefined {
    if (!this.#connected.has(peerId)) return undefined;
    return this.#node?.getConnections(peerIdFromString(peerId)).find(({ status }) => status === 'open');
  }

  async #connectTo(peerId: string, signal: AbortSignal): Promise<Connection> {
    const addresses = this.#book.get(peerId).map((address) => withPeer(address, peerId));
    if (addresses.length === 0) throw unreachable(peerId, new Error('no address of the peer is known'));
    return this.#connect(addresses, peerId, signal);
  }

  async #connect(addresses: Multiaddr[], target: string, signal: AbortSignal): Promise<Connection> {
    if (this.#node?.status !== 'started') throw new PinfoldError('SHUTTING_DOWN', 'the network is not running');
    try {
      return await this.#node.dial(addresses, { signal });
    } catch (error) {
      if (signal.aborted) throw cancelled(signal.reason);
      throw unreachable(target, error);
    }
  }

  *#redialTargets(): Iterable<string> {
    for (const address of this.#init.bootstrap ?? []) {
      if (this.#peerOfTarget(address) !== this.peerId) yield address;
    }
    yield* this.#book.peers();
  }

  /** Targets are peer IDs and bootstrap addresses. */
  #peerOfTarget(target: string): string {
    if (!target.startsWith('/')) return target;
    return peerOfAddress(target) ?? this.#bootstrapPeers.get(target) ?? '';
  }

  async #redial(target: string): Promise<void> {
    // Bounded by libp2p's own dial timeout.
    const { signal } = new AbortController();
    if (!target.startsWith('/')) await this.#connectTo(target, signal);
    else this.#bootstrapPeers.set(target, await this.dial(target, { signal }));
  }
}

/** Throws INVALID_ARGUMENT. */
function parseAddress(address: string): Multiaddr {
  try {
    return multiaddr(address);
  } catch (cause) {
    throw new PinfoldError('INVALID_ARGUMENT', `${address} is not a multiaddress`, { cause });
  }
}

function peerOfAddress(address: string): string | undefined {
  return /\/p2p\/([^/]+)$/.exec(address)?.[1];
}

/** Addresses come from other peers: one that leads elsewhere, or nowhere, is left out. */
function isAddressOf(address: string, peerId: string): boolean {
  try {
    multiaddr(address);
  } catch {
    return false;
  }
  return (peerOfAddress(address) ?? peerId) === peerId;
}

function withPeer(address: string, peerId: string): Multiaddr {
  return multiaddr(peerOfAddress(address) === undefined ? `${address}/p2p/${peerId}` : address);
}

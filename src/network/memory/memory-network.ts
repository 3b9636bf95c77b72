import { byteString } from '../../model/bytes.ts';
import { PinfoldError } from '../../model/errors.ts';
import type { Clock, Timers } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { MetricsRegister } from '../../runtime/metrics.ts';
import type { PeerCodecs } from '../codecs.ts';
import { peerCodecs } from '../codecs.ts';
import { GOSSIP_MESSAGE_BYTES_MAX } from '../constants.ts';
import { networkMetrics } from '../metrics.ts';
import type { Gossip, GossipSubscriber, Network, PeerRpc, Topic } from '../network.ts';
import type { PeerPolicy } from '../peer-methods.ts';
import { cancelled, RpcClient, unreachable } from '../rpc/client.ts';
import type { FramePipe } from '../rpc/frame.ts';
import { RpcServer } from '../rpc/server.ts';
import type { MemoryHub, MemoryPeer } from './memory-hub.ts';
import type { MemoryPipe } from './memory-pipe.ts';

export interface MemoryNetworkInit {
  peerId: string;
}

/** What connects memory networks: a `MemoryHub`, or a world with faults of its own. */
export type Hub = Pick<
  MemoryHub,
  'join' | 'leave' | 'flush' | 'meet' | 'connect' | 'connected' | 'openStream' | 'gossip'
>;

export interface MemoryNetworkNeeds {
  hub: Hub;
  policy: PeerPolicy;
  codecs?: Partial<PeerCodecs>;
  clock: Clock;
  timers: Timers;
  logger: Logger;
  metrics: MetricsRegister;
}

/** Messages that a peer remembers having seen. */
const SEEN_MAX = 10_000;

/** A network within the process, for tests and the simulator: calls and messages pass the same code as over libp2p. */
export function memoryNetwork(init: MemoryNetworkInit, needs: MemoryNetworkNeeds): Network {
  return new MemoryNetwork(init, needs);
}

/** The address of a peer in a memory network. */
export function memoryAddress(peerId: string): string {
  return `/memory/${peerId}/p2p/${peerId}`;
}

class MemoryNetwork implements Network, MemoryPeer {
  readonly peerId: string;
  readonly gossip: Gossip;
  readonly rpc: PeerRpc;
  readonly #hub: Hub;
  readonly #server: RpcServer;
  readonly #known = new Set<string>();
  readonly #listeners = new Set<(peerId: string, up: boolean) => void>();
  readonly #subscribers = new Map<Topic, GossipSubscriber>();
  readonly #seen = new Set<string>();
  #isUp = false;

  constructor({ peerId }: MemoryNetworkInit, needs: MemoryNetworkNeeds) {
    this.peerId = peerId;
    this.#hub = needs.hub;
    const shared = {
      clock: needs.clock,
      timers: needs.timers,
      policy: needs.policy,
      logger: needs.logger.child('network'),
      metrics: networkMetrics(needs.metrics),
      codecs: peerCodecs(needs.codecs),
    };
    const server = new RpcServer(shared);
    this.#server = server;
    const client = new RpcClient({
      ...shared,
      open: async (peer) => this.#openStream(peer),
      recycle: (_, pipe) => pipe.close(),
    });
    this.rpc = {
      call: (peer, method, requests, options) => client.call(peer, method, requests, options),
      serve: (handlers) => server.serve(handlers),
    };
    this.gossip = {
      publish: (topic, message) => this.#publish(topic, message),
      subscribe: (topic, subscriber) => this.#subscribe(topic, subscriber),
    };
  }

  addresses(): string[] {
    return this.#isUp ? [memoryAddress(this.peerId)] : [];
  }

  connected(): string[] {
    return this.#hub.connected(this.peerId);
  }

  /** Nothing is measured: time passes as the hub has it. */
  latencyMs(): undefined {
    return undefined;
  }

  onConnection(listener: (peerId: string, up: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async dial(address: string, { signal }: { signal: AbortSignal }): Promise<string> {
    if (signal.aborted) throw cancelled(signal.reason);
    const peerId = /^\/memory\/([^/]+)/.exec(address)?.[1];
    if (peerId === undefined)
      throw new PinfoldError('INVALID_ARGUMENT', `${address} is not an address of this network`);
    if (!this.#isUp || !this.#hub.connect(this.peerId, peerId)) throw unreachable(peerId, undefined);
    this.#known.add(peerId);
    return peerId;
  }

  remember(peerId: string, addresses: readonly string[]): void {
    if (peerId === this.peerId || addresses.length === 0) return;
    this.#known.add(peerId);
    if (this.#isUp) this.#hub.meet(this.peerId);
  }

  forget(peerId: string): void {
    this.#known.delete(peerId);
  }

  async start(): Promise<void> {
    this.#isUp = true;
    this.#hub.join(this);
  }

  async stop(): Promise<void> {
    await this.#server.stop();
    this.#isUp = false;
    await this.#hub.flush(this.peerId);
    this.#hub.leave(this.peerId);
  }

  knows(peerId: string): boolean {
    return this.#known.has(peerId);
  }

  linkChanged(peerId: string, up: boolean): void {
    for (const listener of this.#listeners) listener(peerId, up);
  }

  onStream(pipe: MemoryPipe, from: string): void {
    void this.#server.accept(pipe, from);
  }

  onGossip(topic: Topic, message: Uint8Array, from: string): void {
    const subscriber = this.#subscribers.get(topic);
    if (subscriber === undefined || !this.#isNew(topic, subscriber, message)) return;
    if (subscriber.receive(message, from) !== 'accept') return;
    for (const peer of this.connected()) if (peer !== from) this.#hub.gossip(this.peerId, peer, topic, message);
  }

  #openStream(peerId: string): FramePipe {
    if (this.#isUp && this.#known.has(peerId)) this.#hub.connect(this.peerId, peerId);
    const pipe = this.#hub.openStream(this.peerId, peerId);
    if (pipe === undefined) throw unreachable(peerId, undefined);
    return pipe;
  }

  #publish(topic: Topic, message: Uint8Array): void {
    if (message.length > GOSSIP_MESSAGE_BYTES_MAX) {
      throw new RangeError(`a gossip message of ${message.length} bytes, at most ${GOSSIP_MESSAGE_BYTES_MAX}`);
    }
    const subscriber = this.#subscribers.get(topic);
    if (subscriber !== undefined && !this.#isNew(topic, subscriber, message)) return;
    for (const peer of this.connected()) this.#hub.gossip(this.peerId, peer, topic, message);
  }

  #subscribe(topic: Topic, subscriber: GossipSubscriber): void {
    if (this.#isUp) throw new Error('topics are subscribed to before the network starts');
    if (this.#subscribers.has(topic)) throw new Error(`the topic ${topic} has a subscriber`);
    this.#subscribers.set(topic, subscriber);
  }

  #isNew(topic: Topic, subscriber: GossipSubscriber, message: Uint8Array): boolean {
    const id = topic + byteString(subscriber.id(message));
    if (this.#seen.has(id)) return false;
    const [oldest] = this.#seen;
    if (this.#seen.size >= SEEN_MAX && oldest !== undefined) this.#seen.delete(oldest);
    this.#seen.add(id);
    return true;
  }
}

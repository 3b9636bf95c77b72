import type { PeerMethod, PeerRpcHandlers, PeerRpcRequests, PeerRpcResponses } from './peer-methods.ts';

/**
 * What a peer knows of the other peers of its private network: who is connected, gossip, and calls between peers.
 * Implementations: `libp2p`, and the simulator's. Peer IDs are their usual text (`12D3KooW...`).
 */
export interface Network {
  readonly peerId: string;
  /** Own listening addresses, each with /p2p/. Empty before `start`. */
  addresses(): string[];
  /** Peers with an authenticated connection, this one left out. */
  connected(): string[];
  /** Last known round trip to a connected peer, ms. Undefined: not measured (yet), or not connected. */
  latencyMs(peerId: string): number | undefined;
  /** Calls back on every peer that connects (`up`) or whose last connection ends. Returns the unsubscriber. */
  onConnection(listener: (peerId: string, up: boolean) => void): () => void;
  /** Dials an address with or without /p2p/ and resolves with the peer ID. Rejects with PEER_UNREACHABLE. */
  dial(address: string, options: { signal: AbortSignal }): Promise<string>;
  /** Remembers addresses of a peer, kept over restarts; `call` dials them when there is no connection. */
  remember(peerId: string, addresses: readonly string[]): void;
  /** Forgets its addresses: it is not dialled any more, unless it is a bootstrap peer. A connection stays. */
  forget(peerId: string): void;
  readonly gossip: Gossip;
  readonly rpc: PeerRpc;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface Gossip {
  /**
   * Best effort: may be lost, doubled, reordered. Messages above GOSSIP_MESSAGE_BYTES_MAX throw. `id` makes two
   * messages the same (for batches: the batch's hash).
   */
  publish(topic: Topic, message: Uint8Array): void;
  /**
   * One subscriber a topic, set before `start`. `receive` judges before the message is forwarded: 'accept' forwards,
   * 'ignore' does not, 'reject' does not and scores `from` (who forwarded it) down. It must not throw or wait.
   */
  subscribe(topic: Topic, subscriber: GossipSubscriber): void;
}

export interface GossipSubscriber {
  /** A message's identity; messages with the same one are delivered once. */
  id(message: Uint8Array): Uint8Array;
  receive(message: Uint8Array, from: string): 'accept' | 'ignore' | 'reject';
}

export type Topic = 'batches' | 'records';

export interface PeerRpc {
  /**
   * Calls a method of another peer: a stream of requests in, a stream of responses out, both under flow control. Ends when the callee
   * ends it, throws PinfoldError (the callee's code, or PEER_UNREACHABLE, DEADLINE, CANCELLED). Leaving the
   * iteration early cancels the call at the callee. The deadline of the method's row applies besides the signal.
   */
  call<M extends PeerMethod>(
    peerId: string,
    method: M,
    requests: AsyncIterable<PeerRpcRequests[M]> | Iterable<PeerRpcRequests[M]>,
    options: { signal: AbortSignal },
  ): AsyncIterable<PeerRpcResponses[M]>;
  /** Sets the handlers, all of them, once, before `start`. */
  serve(handlers: PeerRpcHandlers): void;
}

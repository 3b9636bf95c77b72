import type { Connection } from '@libp2p/interface';

/** Heartbeats that a gossip stream may be missing, since it is opened after the connection. */
const HEARTBEATS_WITHOUT_STREAM_MAX = 15;
const GOSSIP_PROTOCOL_PREFIX = '/meshsub/';

/**
 * Finds connections whose gossip stream is gone. gossipsub opens one a connection and never another: a peer that fell
 * GOSSIP_QUEUE_BYTES_MAX behind would hear no gossip until it reconnects, so it is made to.
 */
export class GossipWatch {
  readonly #missed = new Map<string, number>();

  /** To be called every heartbeat; the connections returned are to be closed. */
  check(connections: readonly Connection[]): Connection[] {
    const peers = new Map<string, Connection[]>();
    for (const connection of connections) {
      const peerId = connection.remotePeer.toString();
      peers.set(peerId, [...(peers.get(peerId) ?? []), connection]);
    }
    for (const peerId of this.#missed.keys()) if (!peers.has(peerId)) this.#missed.delete(peerId);
    const broken: Connection[] = [];
    for (const [peerId, ofPeer] of peers) {
      if (this.#isMissing(peerId, ofPeer)) broken.push(...ofPeer);
    }
    return broken;
  }

  #isMissing(peerId: string, connections: readonly Connection[]): boolean {
    if (connections.some(hasGossipStream)) {
      this.#missed.delete(peerId);
      return false;
    }
    const missed = (this.#missed.get(peerId) ?? 0) + 1;
    this.#missed.set(peerId, missed);
    return missed > HEARTBEATS_WITHOUT_STREAM_MAX;
  }
}

function hasGossipStream(connection: Connection): boolean {
  return connection.streams.some(
    ({ direction, protocol, status }) =>
      direction === 'outbound' && status === 'open' && protocol.startsWith(GOSSIP_PROTOCOL_PREFIX),
  );
}

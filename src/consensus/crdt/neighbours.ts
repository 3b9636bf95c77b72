import type { Network } from '../../network/network.ts';
import { type Random, shuffled } from '../../runtime/random.ts';
import type { PeerViews } from './peer-views.ts';
import type { Trust } from './trust/trust.ts';

export interface NeighboursNeeds {
  network: Pick<Network, 'peerId' | 'connected'>;
  views: PeerViews;
  random: Random;
  trust: Pick<Trust, 'isTrusted' | 'members'>;
}

/** The other peers, by what this one does with them. */
export class Neighbours {
  readonly #needs: NeighboursNeeds;

  constructor(needs: NeighboursNeeds) {
    this.#needs = needs;
  }

  /** Reachable trusted peers, in random order. */
  reached(): string[] {
    return this.connected().filter((peerId) => this.#needs.trust.isTrusted(peerId));
  }

  /** Also those that are not trusted. */
  connected(): string[] {
    return shuffled(this.#needs.random, this.#needs.network.connected());
  }

  /** Those that state is taken from: they have said Hello, and are no followers. */
  sources(): string[] {
    return this.reached().filter((peerId) => this.#needs.views.get(peerId)?.isFollower === false);
  }

  /** Trusted peers of the cluster that are no followers, reachable or not: those whose word counts for a level (6.1). */
  holders(): string[] {
    const { network, views, trust } = this.#needs;
    const followers = new Map(trust.members().map(({ peerId, follower }) => [peerId, follower]));
    const connected = new Set(network.connected());
    for (const { peerId, isFollower } of views.all()) {
      // What a peer says itself is newer than its record; one without a record counts while it is here.
      if (followers.has(peerId) || connected.has(peerId)) followers.set(peerId, isFollower);
    }
    followers.delete(network.peerId);
    return [...followers].flatMap(([peerId, isFollower]) => (!isFollower && trust.isTrusted(peerId) ? [peerId] : []));
  }
}

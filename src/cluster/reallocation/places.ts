import type { AllocatablePeer, Allocator, Place, Standing } from '../../allocator/allocator.ts';
import { isPinfoldError } from '../../model/errors.ts';
import { everywhere } from '../../model/pin.ts';
import type { StoredPin } from '../../pinset/pinset.ts';

export interface PlacesNeeds {
  allocator: Allocator;
  /** Metrics that begin with `tag:` are what pins are spread over. */
  allocateBy: readonly string[];
  /** Of a peer that is no member. */
  isLost: (peerId: string) => boolean;
}

/** Where pins can lie, as the members stand at one moment. */
export class Places {
  readonly peers: readonly AllocatablePeer[];
  /** Peers that take what nobody named them for. */
  readonly takers: readonly string[];
  readonly #needs: PlacesNeeds;
  readonly #standings: ReadonlyMap<string, Standing>;
  /** Made when it is first asked for: mostly only the standings are. */
  #place: Place | undefined;

  constructor(peers: readonly AllocatablePeer[], needs: PlacesNeeds) {
    this.peers = peers;
    this.takers = peers.filter(({ standing }) => standing === 'takes').map(({ peerId }) => peerId);
    this.#needs = needs;
    this.#standings = new Map(peers.map(({ peerId, standing }) => [peerId, standing]));
  }

  /** The same text: the same standings. */
  get fingerprint(): string {
    return this.peers.map(({ peerId, standing }) => `${peerId} ${standing}`).join('\n');
  }

  /** Undefined: of one that is no member nothing is known yet; it may be one that this peer has still to hear of. */
  standing(peerId: string): Standing | undefined {
    return this.#standings.get(peerId) ?? (this.#needs.isLost(peerId) ? 'leaves' : undefined);
  }

  /**
   * Where a pin should lie: what it has and can keep, the first ones if that is more than it wants, and more if there are. Fewer than it
   * asks for where there are no more.
   */
  desired({ key, pin }: StoredPin, replicationMax = pin.replicationMax): string[] {
    const valid = pin.allocations.filter((peerId) => this.standing(peerId) !== 'leaves');
    const current = valid.slice(0, replicationMax);
    const { userAllocations } = pin;
    this.#place ??= this.#needs.allocator.over(this.peers);
    try {
      return this.#place({ key, replicationMin: 1, replicationMax, current, userAllocations });
    } catch (error) {
      if (isPinfoldError(error, 'NOT_ENOUGH_PEERS')) return current;
      throw error;
    }
  }

  /** As if that peer were to be emptied. */
  withLeaving(leaving: string): Places {
    const peers = this.peers.map((peer) => (peer.peerId === leaving ? { ...peer, standing: 'leaves' as const } : peer));
    return new Places(peers, this.#needs);
  }

  /** As if only these took pins. */
  withTakers(takers: readonly string[]): Places {
    const peers = this.peers.map((peer) => {
      const isOther = (peer.standing === 'takes' || peer.standing === 'named') && !takers.includes(peer.peerId);
      return isOther ? { ...peer, standing: 'keeps' as const } : peer;
    });
    return new Places(peers, this.#needs);
  }

  /** Over no fewer regions, zones or whatever else pins are spread over. */
  isSpreadAsWell(peerIds: readonly string[], as: readonly string[]): boolean {
    const tags = this.#needs.allocateBy.filter((metric) => metric.startsWith('tag:'));
    const values = (tag: string, of: readonly string[]) =>
      new Set(this.peers.flatMap(({ peerId, metrics }) => (of.includes(peerId) ? [metrics.get(tag)] : []))).size;
    return tags.every((tag) => values(tag, peerIds) >= values(tag, as));
  }
}

/** Of a pin that should lie otherwise: the lower, the more urgent. `wait`: some peer of it is not known, and may come back or be lost. */
export type Concern = number | 'wait' | undefined;

/** Those that lie on peers enough come behind those that do not. */
const enough = 10_000;

/** Cheap: it is asked of every pin. The rank is the number of its allocations that are valid. */
export function concernOf({ pin }: StoredPin, places: Places): Concern {
  const { allocations, replicationMin, replicationMax } = pin;
  if (replicationMin === everywhere) return undefined;
  let valid = 0;
  let taking = 0;
  for (const peerId of allocations) {
    const standing = places.standing(peerId);
    if (standing === undefined) return 'wait';
    if (standing !== 'leaves') valid++;
    if (standing === 'takes') taking++;
  }
  const canGetMore = valid < replicationMax && taking < places.takers.length;
  if (valid === allocations.length && valid <= replicationMax && !canGetMore) return undefined;
  return valid < replicationMin ? valid : enough + valid;
}

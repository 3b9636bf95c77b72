import type { AllocatablePeer, AllocationInput, Allocator, Place } from '../allocator/allocator.ts';
import type { AllocatorOptions } from '../allocator/options.ts';
import { allocatable } from '../allocator/standing.ts';
import type { Monitor } from '../monitor/monitor.ts';
import type { Clock } from '../runtime/clock.ts';
import { PLACING_AGE_MS_MAX } from './constants.ts';

export interface PlacingNeeds {
  allocator: Allocator;
  monitor: Pick<Monitor, 'members' | 'onChange'>;
  trust: { isTrusted(peerId: string): boolean; onChange(listener: () => void): () => void };
  isLost(peerId: string): boolean;
  clock: Pick<Clock, 'monotonicMs'>;
}

export interface Look {
  /** All members, this peer among them, with their standing. */
  peers: readonly AllocatablePeer[];
  place: Place;
}

interface Known extends Look {
  fromMs: number;
  /** Metrics have come since. */
  isOutdated: boolean;
}

/**
 * Places pins on the members as they are known. They are looked at anew at once when a member comes, goes, is up or down, or tells
 * what was missing of it; when other metrics have come, only after a second, or when there would be too few peers: of thousands of
 * members some always tell theirs.
 */
export class Placing {
  readonly #options: AllocatorOptions;
  readonly #needs: PlacingNeeds;
  #known: Known | undefined;

  constructor(options: AllocatorOptions, needs: PlacingNeeds) {
    this.#options = options;
    this.#needs = needs;
    needs.monitor.onChange((change) => {
      if (change.kind === 'record' || change.kind === 'health') this.changed();
      else if (change.kind === 'metrics') this.#metricsCame(change.peerId);
    });
    needs.trust.onChange(() => this.changed());
  }

  get peers(): Look['peers'] {
    return this.#now().peers;
  }

  /** What lies there is to lie elsewhere. */
  isLeaving(peerId: string): boolean {
    const standing = this.#now().peers.find((peer) => peer.peerId === peerId)?.standing;
    return standing === undefined || standing === 'leaves';
  }

  /** See `Place`. */
  place(pin: AllocationInput): string[] {
    const known = this.#now();
    try {
      return known.place(pin);
    } catch (error) {
      if (!known.isOutdated) throw error;
      return this.look().place(pin);
    }
  }

  /** The members as they are at this moment. */
  look(): Look {
    this.changed();
    return this.#now();
  }

  /** Something that a peer's standing depends on is otherwise now. */
  changed(): void {
    this.#known = undefined;
  }

  #metricsCame(peerId: string): void {
    if (this.#known === undefined) return;
    const { reason } = this.#known.peers.find((peer) => peer.peerId === peerId) ?? {};
    if (reason?.code === 'NO_METRIC') this.changed();
    else this.#known.isOutdated = true;
  }

  #now(): Known {
    const nowMs = this.#needs.clock.monotonicMs();
    if (this.#known === undefined || nowMs - this.#known.fromMs > PLACING_AGE_MS_MAX) {
      const peers = this.#peers();
      this.#known = { peers, place: this.#needs.allocator.over(peers), fromMs: nowMs, isOutdated: false };
    }
    return this.#known;
  }

  #peers(): AllocatablePeer[] {
    const { monitor, trust, isLost } = this.#needs;
    return monitor.members().map((member) => {
      const { peerId } = member;
      const facts = { isTrusted: trust.isTrusted(peerId), isDraining: member.draining, isLost: isLost(peerId) };
      return allocatable({ ...member, ...facts }, this.#options);
    });
  }
}

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
  isDraining(peerId: string): boolean;
  isLost(peerId: string): boolean;
  clock: Pick<Clock, 'monotonicMs'>;
}

/** Places pins on the members as they are known now: they are looked at anew when one changes, and when what is known of them grows old. */
export class Placing {
  readonly #options: AllocatorOptions;
  readonly #needs: PlacingNeeds;
  #known: { peers: readonly AllocatablePeer[]; place: Place; fromMs: number } | undefined;

  constructor(options: AllocatorOptions, needs: PlacingNeeds) {
    this.#options = options;
    this.#needs = needs;
    needs.monitor.onChange(() => this.changed());
    needs.trust.onChange(() => this.changed());
  }

  /** All members, this peer among them, with their standing. */
  get peers(): readonly AllocatablePeer[] {
    return this.#now().peers;
  }

  /** See `Place`. */
  place(pin: AllocationInput): string[] {
    return this.#now().place(pin);
  }

  /** Something that a peer's standing depends on is otherwise now. */
  changed(): void {
    this.#known = undefined;
  }

  #now(): { peers: readonly AllocatablePeer[]; place: Place } {
    const nowMs = this.#needs.clock.monotonicMs();
    if (this.#known === undefined || nowMs - this.#known.fromMs > PLACING_AGE_MS_MAX) {
      const peers = this.#look();
      this.#known = { peers, place: this.#needs.allocator.over(peers), fromMs: nowMs };
    }
    return this.#known;
  }

  #look(): AllocatablePeer[] {
    const { monitor, trust, isDraining, isLost } = this.#needs;
    return monitor.members().map((member) => {
      const { peerId } = member;
      const facts = { isTrusted: trust.isTrusted(peerId), isDraining: isDraining(peerId), isLost: isLost(peerId) };
      return allocatable({ ...member, ...facts }, this.#options);
    });
  }
}

import type { PinKey } from '../model/pin.ts';

/** Which peers store a pin: pure functions of what is known of the peers. */
export interface Allocator {
  /** The peers as they are known now, each once, in any order: looked at once for many pins. */
  over(peers: readonly AllocatablePeer[]): Place;
}

/**
 * Peer IDs; empty for everywhere. First those that are kept, in the order they had, then `must`, then the new ones, best first. The same
 * for the same input, whatever was placed before. Throws NOT_ENOUGH_PEERS naming how many there are and how many are needed.
 */
export type Place = (pin: AllocationInput) => string[];

export interface AllocationInput {
  key: PinKey;
  /** -1: everywhere. Otherwise 1 <= min <= max. */
  replicationMin: number;
  replicationMax: number;
  /** Where the pin lies now. Those that may keep it are kept. */
  current: readonly string[];
  /** Preferred by the user: they come before all others. */
  userAllocations: readonly string[];
  /** Must be among the allocations, whatever is known of them: the peers that already have the blocks. At most max. */
  must?: readonly string[];
}

export interface AllocatablePeer {
  peerId: string;
  standing: Standing;
  /** Why it does not take new pins; undefined when it does. */
  reason: StandingReason | undefined;
  /** What it last said of itself and is still valid: `freespace`, `pinqueue`, `tag:region`... */
  metrics: ReadonlyMap<string, number | string>;
}

/**
 * `takes`: new pins, too. `named`: new pins only where the user names it. `keeps`: what it has, and takes nothing new. `leaves`: what it
 * has is to lie elsewhere; so it is with a peer that is not listed.
 */
export type Standing = 'takes' | 'named' | 'keeps' | 'leaves';

export type StandingReason =
  | { code: 'LOST' | 'DRAINING' | 'UNTRUSTED' | 'DOWN' | 'SUSPECT' | 'FOLLOWER' }
  | { code: 'NO_METRIC'; metric: string }
  | { code: 'MISSING_TAG'; tag: string; value: string }
  | { code: 'BELOW_HEADROOM'; freeBytes: number; headroomBytes: number };

/**
 * Which peers store a pin: a pure function over what the members measure of themselves.
 */
export interface AllocationInput {
  replicationMin: number;
  replicationMax: number;
  /** Where the pin lies now. Valid ones are kept. */
  current: readonly string[];
  /** Preferred by the user; first among equals with `must`. */
  userAllocations: readonly string[];
  /** Must be one of the allocations: the peer that already has the blocks. */
  must?: string;
  /** Peers that can take pins, with their free space in bytes. */
  candidates: readonly { peerId: string; freeBytes: number }[];
}

/** Peer IDs; empty for everywhere. Throws NOT_ENOUGH_PEERS naming how many there are and how many are needed. */
export type Allocator = (input: AllocationInput) => string[];

import { PinfoldError } from '../model/errors.ts';
import { everywhere } from '../model/pin.ts';
import type { AllocationInput, Allocator } from './allocator.ts';

/**
 * The first rule. What lies well stays: current allocations that are still candidates are kept, and only if they are
 * fewer than min are peers added, up to max. Added are first those that the user prefers, then those with most free
 * space; ties go by peer ID, so that every peer decides alike. A full peer gets nothing new, but keeps what it has.
 * Above max, the least preferred are dropped, by the same order. `must` is always among the result.
 */
export const mostFreeSpace: Allocator = (input) => {
  if (input.replicationMin === everywhere) return [];
  const ranked = rankedPeers(input);
  const kept = keptPeers(input, ranked);
  if (kept.length >= input.replicationMin) return kept;
  const added = ranked.filter(({ peerId, freeBytes }) => freeBytes > 0 && !kept.includes(peerId)).map((p) => p.peerId);
  if (kept.length + added.length < input.replicationMin) throw notEnough(input, kept.length + added.length);
  return [...kept, ...added.slice(0, input.replicationMax - kept.length)];
};

/** Candidates, best first. */
function rankedPeers(input: AllocationInput): { peerId: string; freeBytes: number }[] {
  const preferred = new Set(input.userAllocations);
  const free = new Map(input.candidates.map(({ peerId, freeBytes }) => [peerId, freeBytes]));
  return [...free]
    .map(([peerId, freeBytes]) => ({ peerId, freeBytes }))
    .sort(
      (a, b) =>
        Number(preferred.has(b.peerId)) - Number(preferred.has(a.peerId)) ||
        b.freeBytes - a.freeBytes ||
        (a.peerId < b.peerId ? -1 : 1),
    );
}

/** `must` and the valid current allocations, in the order they had, at most max of them. */
function keptPeers(input: AllocationInput, ranked: readonly { peerId: string }[]): string[] {
  const { must } = input;
  const current = new Set(input.current);
  const valid = ranked.map((p) => p.peerId).filter((peerId) => current.has(peerId) && peerId !== must);
  const kept = new Set(valid.slice(0, input.replicationMax - (must === undefined ? 0 : 1)));
  if (must !== undefined) {
    kept.add(must);
    current.add(must);
  }
  return [...current].filter((peerId) => kept.has(peerId));
}

function notEnough(input: AllocationInput, available: number): PinfoldError {
  const { replicationMin: min, replicationMax: max } = input;
  return new PinfoldError(
    'NOT_ENOUGH_PEERS',
    `not enough peers to allocate the pin: ${min} needed at least, ${max} wanted at most, ${available} can take it`,
    { facts: { needed: String(min), wanted: String(max), available: String(available) } },
  );
}

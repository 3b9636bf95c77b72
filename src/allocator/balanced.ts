import { PinfoldError } from '../model/errors.ts';
import { everywhere } from '../model/pin.ts';
import type { AllocationInput, Allocator } from './allocator.ts';
import { keyHash } from './key-hash.ts';
import type { AllocatorOptions } from './options.ts';
import { type PeerTree, peerTree, type TreeNode } from './peer-tree.ts';
import { Picks } from './picks.ts';

/**
 * What lies well stays, and is filled up to max as long as there are peers that take pins: first those that the user names, then those
 * with the preferred tags, spread over the groups (docs/allocation.md). Above max, what is preferred least goes.
 */
export function balanced(
  options: Pick<AllocatorOptions, 'allocateBy' | 'spread' | 'pinQueueBucketSize' | 'preferredTags'>,
): Allocator {
  return {
    over(peers) {
      const tree = peerTree(peers, options);
      return (pin) => (pin.replicationMin === everywhere ? [] : place(tree, pin, options.spread));
    },
  };
}

function place(tree: PeerTree, pin: AllocationInput, spread: boolean): string[] {
  const { replicationMin, replicationMax } = pin;
  const picks = () => new Picks(tree, spread ? keyHash(pin.key) : undefined);
  const placed = keptPeers(tree, pin, picks);
  if (placed.length >= replicationMax) return placed;
  const from = picks();
  for (const peerId of placed) from.take(peerId);
  for (const equals of [named(tree, pin, tree.namable), ...tree.takers]) {
    placed.push(...from.pick(equals, replicationMax - placed.length));
  }
  if (placed.length < replicationMin) throw notEnough(pin, placed.length);
  return placed;
}

/** The valid current allocations, in the order they had, and `must`: at most max of them. */
function keptPeers(tree: PeerTree, { current, must = [], ...pin }: AllocationInput, picks: () => Picks): string[] {
  const mayStay = [...current].filter((peerId) => tree.leaves.has(peerId) || must.includes(peerId));
  const valid = [...new Set([...mayStay, ...must])];
  if (valid.length <= pin.replicationMax) return valid;
  const from = picks();
  const kept = new Set<string>(must);
  for (const peerId of must) from.take(peerId);
  const leaves = valid.flatMap((peerId) => tree.leaves.get(peerId) ?? []);
  const takers = new Set(tree.takers.flat());
  const inTurn = [named(tree, pin, new Set(leaves)), leaves.filter((leaf) => takers.has(leaf)), leaves];
  for (const equals of inTurn) {
    for (const peerId of from.pick(equals, pin.replicationMax - kept.size)) kept.add(peerId);
  }
  return valid.filter((peerId) => kept.has(peerId));
}

/** Those of `among` that the user names. */
function named(
  tree: PeerTree,
  { userAllocations }: Pick<AllocationInput, 'userAllocations'>,
  among: ReadonlySet<TreeNode>,
): TreeNode[] {
  const leaves = new Set(userAllocations.flatMap((peerId) => tree.leaves.get(peerId) ?? []));
  return [...leaves].filter((leaf) => among.has(leaf));
}

function notEnough({ replicationMin: min, replicationMax: max }: AllocationInput, available: number): PinfoldError {
  return new PinfoldError(
    'NOT_ENOUGH_PEERS',
    `not enough peers to allocate the pin: ${min} needed at least, ${max} wanted at most, ${available} can take it`,
    { facts: { needed: String(min), wanted: String(max), available: String(available) } },
  );
}

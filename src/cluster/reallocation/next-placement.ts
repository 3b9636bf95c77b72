/** What is known of a peer and a pin: its node holds all of it, or not, or the peer was not heard. */
export type Holding = 'holds' | 'lacks' | 'unknown';

export interface PlacementInput {
  /** Where the pin lies. */
  current: readonly string[];
  /** Where it should lie: the allocator's word. */
  desired: readonly string[];
  replicationMin: number;
  holding: (peerId: string) => Holding;
}

/**
 * The next step from `current` to `desired`. What is to be added is added at once. Whoever is to go stays, behind the others, until as many
 * of those that stay as `replicationMin` hold the pin, so that complete copies never become fewer than that by a move; unless it is known
 * to have no copy. That includes those who are lost: they may come back with the only copy there is.
 */
export function nextPlacement({ current, desired, replicationMin, holding }: PlacementInput): string[] {
  const copies = desired.filter((peerId) => holding(peerId) === 'holds').length;
  if (copies >= replicationMin) return [...desired];
  const staying = current.filter((peerId) => !desired.includes(peerId) && holding(peerId) !== 'lacks');
  return [...desired, ...staying];
}

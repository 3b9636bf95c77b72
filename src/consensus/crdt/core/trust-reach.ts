/** A member as T4 looks at it. */
export interface TrustingMember {
  readonly peerId: string;
  /** It takes state, and nobody takes any from it. */
  readonly isFollower: boolean;
  /** Whose operations and state it takes; undefined: its list is not known here. */
  readonly trusts: { has(peerId: string): boolean } | undefined;
}

/**
 * T4: the members that get what `holders` hold, directly or through others: who trusts a holder takes it (T1, T2), and hands
 * it on to whoever trusts that one, unless it is a follower. `unknownTakes` is what is assumed of lists that are not known.
 */
export function reachedFrom(
  holders: Iterable<string>,
  members: readonly TrustingMember[],
  unknownTakes: boolean,
): Set<string> {
  const reached = new Set<string>();
  const handingOn = [...holders];
  let left = members.filter(({ peerId }) => !handingOn.includes(peerId));
  for (let giver = handingOn.pop(); giver !== undefined && left.length > 0; giver = handingOn.pop()) {
    const others: TrustingMember[] = [];
    for (const member of left) {
      if (!(member.trusts?.has(giver) ?? unknownTakes)) others.push(member);
      else {
        reached.add(member.peerId);
        if (!member.isFollower) handingOn.push(member.peerId);
      }
    }
    left = others;
  }
  return reached;
}

/** Who never gets a write. */
export interface Unseen {
  /** Whoever is not known to get it: what an answer must name, so that none is left out. */
  readonly unseenBy: readonly string[];
  /** Whoever does not get it whatever the lists say that are not known: cause for an alert, and if it is all, for refusing. */
  readonly never: readonly string[];
  readonly isRefused: boolean;
}

/**
 * What becomes of the writes of `holders` (T4). Nobody is refused for want of knowledge: a list that is not known counts as
 * one that takes nothing when members are named, and as one that takes all when refusing is decided.
 */
export function unseenOf(holders: readonly string[], members: readonly TrustingMember[]): Unseen {
  const certain = reachedFrom(holders, members, false);
  const possible = reachedFrom(holders, members, true);
  const others = members.map(({ peerId }) => peerId).filter((peerId) => !holders.includes(peerId));
  return {
    unseenBy: others.filter((peerId) => !certain.has(peerId)),
    never: others.filter((peerId) => !possible.has(peerId)),
    isRefused: others.length > 0 && possible.size === 0,
  };
}

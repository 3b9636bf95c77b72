import { mostFreeSpace } from '../../allocator/most-free-space.ts';
import type { Pin } from '../../model/pin.ts';
import type { Member, Monitor } from '../../monitor/monitor.ts';
import type { Absences } from './absences.ts';
import type { Place, Places, Standing } from './places.ts';

export interface MemberPlacesNeeds {
  monitor: Pick<Monitor, 'members'>;
  isTrusted: (peerId: string) => boolean;
  absences: Pick<Absences, 'isLost'>;
}

/** Places as the members stand now. */
export function memberPlaces({ monitor, isTrusted, absences }: MemberPlacesNeeds): Places {
  const peers = monitor.members().map((member): Place => {
    const free = numberOf(member, 'freespace') ?? 0;
    const standing = standingOf(member, free, isTrusted, absences);
    return { peerId: member.peerId, standing, free, space: free + (numberOf(member, 'reposize') ?? 0) };
  });
  return placesOf(peers, (peerId) => absences.isLost(peerId));
}

function placesOf(peers: readonly Place[], isLost: (peerId: string) => boolean): Places {
  const standings = new Map(peers.map(({ peerId, standing }) => [peerId, standing]));
  const takers = peers.flatMap(({ peerId, standing }) => (standing === 'takes' ? [peerId] : []));
  return {
    fingerprint: peers.map(({ peerId, standing }) => `${peerId} ${standing}`).join('\n'),
    peers,
    takers,
    // Of one that is no member (any more) nothing is known: it may be one that this peer has yet to hear of.
    standing: (peerId) => standings.get(peerId) ?? (isLost(peerId) ? 'leaves' : undefined),
    desired(pin: Pin, current) {
      const more = takers.filter((peerId) => !current.includes(peerId)).length;
      const count = Math.min(pin.replicationMax, current.length + more);
      if (count === 0) return [];
      return mostFreeSpace({
        ...pin,
        replicationMin: count,
        replicationMax: count,
        current,
        candidates: peers
          .filter(({ peerId, standing }) => standing === 'takes' || current.includes(peerId))
          .map(({ peerId, free }) => ({ peerId, freeBytes: free })),
      });
    },
    with: ({ leaves = [], takes }) =>
      placesOf(
        peers.map((place) => ({ ...place, standing: changed(place, leaves, takes) })),
        isLost,
      ),
    isSpreadAsWell: () => true,
  };
}

function changed({ peerId, standing }: Place, leaves: readonly string[], takes?: readonly string[]): Standing {
  if (leaves.includes(peerId)) return 'leaves';
  return standing === 'takes' && takes !== undefined && !takes.includes(peerId) ? 'keeps' : standing;
}

function standingOf(
  member: Member,
  free: number,
  isTrusted: (peerId: string) => boolean,
  absences: Pick<Absences, 'isLost'>,
): Standing {
  if (member.draining || absences.isLost(member.peerId)) return 'leaves';
  return member.health === 'up' && !member.follower && isTrusted(member.peerId) && free > 0 ? 'takes' : 'keeps';
}

function numberOf({ metrics }: Member, name: string): number | undefined {
  const metric = metrics.find((each) => each.name === name && each.valid);
  return typeof metric?.value === 'number' ? metric.value : undefined;
}

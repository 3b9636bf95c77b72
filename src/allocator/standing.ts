import type { AllocatablePeer, Standing, StandingReason } from './allocator.ts';
import type { AllocatorOptions } from './options.ts';

/** What is known of a member. */
export interface MemberFacts {
  peerId: string;
  health: 'up' | 'suspect' | 'down';
  follower: boolean;
  metrics: readonly { name: string; value: number | string; valid: boolean }[];
  /** What it says of itself counts here. */
  isTrusted: boolean;
  isDraining: boolean;
  /** Away for so long that its pins are placed elsewhere. */
  isLost: boolean;
}

type StandingOptions = Pick<AllocatorOptions, 'allocateBy' | 'headroomBytes' | 'requiredTags'>;

/**
 * What a member does with pins, and why. Only one that is lost or drained gives up what it has: one that is away for a while, or full,
 * or not trusted any more moves nothing.
 */
export function allocatable(member: MemberFacts, options: StandingOptions): AllocatablePeer {
  const metrics = new Map(member.metrics.filter(({ valid }) => valid).map(({ name, value }) => [name, value]));
  const reason = reasonOf(member, metrics, options);
  return { peerId: member.peerId, standing: standingFor(reason), reason, metrics };
}

function reasonOf(
  member: MemberFacts,
  metrics: AllocatablePeer['metrics'],
  { allocateBy, headroomBytes, requiredTags }: StandingOptions,
): StandingReason | undefined {
  if (member.isLost) return { code: 'LOST' };
  if (member.isDraining) return { code: 'DRAINING' };
  if (!member.isTrusted) return { code: 'UNTRUSTED' };
  if (member.health !== 'up') return { code: member.health === 'down' ? 'DOWN' : 'SUSPECT' };
  // A peer without a tag is in the group of those without; a number has no such reading.
  const needed = ['freespace', ...allocateBy.filter((name) => !name.startsWith('tag:'))];
  const missing = needed.find((name) => typeof metrics.get(name) !== 'number');
  if (missing !== undefined) return { code: 'NO_METRIC', metric: missing };
  const [tag, value] = Object.entries(requiredTags).find(([name, of]) => metrics.get(`tag:${name}`) !== of) ?? [];
  if (tag !== undefined && value !== undefined) return { code: 'MISSING_TAG', tag, value };
  const freeBytes = Number(metrics.get('freespace'));
  if (freeBytes < headroomBytes) return { code: 'BELOW_HEADROOM', freeBytes, headroomBytes };
  return member.follower ? { code: 'FOLLOWER' } : undefined;
}

function standingFor(reason: StandingReason | undefined): Standing {
  if (reason === undefined) return 'takes';
  if (reason.code === 'FOLLOWER') return 'named';
  return reason.code === 'LOST' || reason.code === 'DRAINING' ? 'leaves' : 'keeps';
}

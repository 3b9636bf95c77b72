import type { AllocatablePeer, StandingReason } from '../allocator/allocator.ts';

export type PeerReason = StandingReason | { code: 'NO_MEMBER' };

/** An allocation that is no member (any more). */
export const noMember = (peerId: string) => ({
  peerId,
  standing: 'leaves' as const,
  reason: { code: 'NO_MEMBER' as const },
  metrics: new Map<string, number | string>(),
});

interface Explained extends Pick<AllocatablePeer, 'standing' | 'metrics'> {
  reason: PeerReason | undefined;
}

/** What the allocator lets a peer do, and why, with the numbers that count. */
export function standingWords({ standing, reason, metrics }: Explained, allocateBy: readonly string[]): string {
  const why = reason === undefined ? numbersOf(metrics, allocateBy) : reasonWords(reason);
  return `${does[standing]}: ${why}`;
}

const does: Record<AllocatablePeer['standing'], string> = {
  takes: 'takes new pins',
  named: 'takes what is allocated to it by name',
  keeps: 'keeps what it has, takes nothing new',
  leaves: 'what it has is to lie elsewhere',
};

function numbersOf(metrics: AllocatablePeer['metrics'], allocateBy: readonly string[]): string {
  const said = allocateBy.map((name) => `${name} ${valueWords(name, metrics.get(name))}`);
  return said.length === 0 ? 'all peers are equal' : said.join(', ');
}

function valueWords(name: string, value: number | string | undefined): string {
  if (value === undefined) return 'none';
  if (typeof value === 'string') return value;
  if (name === 'freespace' || name === 'reposize') return sizeWords(value);
  return name === 'latency' ? `${value} ms` : String(value);
}

function reasonWords(reason: PeerReason): string {
  switch (reason.code) {
    case 'NO_METRIC':
      return `it has not said lately what its ${reason.metric} is`;
    case 'MISSING_TAG':
      return `its tag ${reason.tag} is not ${reason.value}`;
    case 'BELOW_HEADROOM':
      return `it has ${sizeWords(reason.freeBytes)} of free space, and ${sizeWords(reason.headroomBytes)} are kept free`;
    default:
      return words[reason.code];
  }
}

const words: Record<Exclude<PeerReason['code'], 'NO_METRIC' | 'MISSING_TAG' | 'BELOW_HEADROOM'>, string> = {
  LOST: 'it has been away for too long',
  DRAINING: 'it is being drained',
  UNTRUSTED: 'the peer that was asked does not trust it',
  DOWN: 'it is down',
  SUSPECT: 'nothing was heard of it lately',
  FOLLOWER: 'it is a follower',
  NO_MEMBER: 'it is no member of the cluster',
};

function sizeWords(bytes: number): string {
  const mib = bytes / 2 ** 20;
  return mib < 10_240 ? `${Math.floor(mib)} MiB` : `${Math.floor(mib / 1_024)} GiB`;
}

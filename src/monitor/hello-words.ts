import type { SignedForgotten, SignedMetrics, SignedPeerRecord } from '../../gen/pinfold/peer/v1/record_pb.ts';
import type { Random } from '../runtime/random.ts';
import { HELLO_BYTES_MAX, HELLO_ENTRY_OVERHEAD_BYTES } from './constants.ts';
import { areMetricsValid, type MemberEntry } from './members.ts';

/** What is given away of the members with a Hello. */
export interface HelloWords {
  records: SignedPeerRecord[];
  metrics: SignedMetrics[];
  forgotten: SignedForgotten[];
}

/** As many members as fit: this peer first, then from anywhere, so that in a cluster too large for one Hello all come in turn. */
export function wordsForHello(
  members: ReadonlyMap<string, MemberEntry>,
  ownPeerId: string,
  nowMs: number,
  random: Pick<Random, 'float'>,
  forgotten: SignedForgotten[],
): HelloWords {
  const given: HelloWords = { records: [], metrics: [], forgotten };
  let left = HELLO_BYTES_MAX;
  for (const entry of inOrder(members, ownPeerId, random)) {
    const { record } = entry.record.signed;
    // What has run out here would be taken for fresh there.
    const metrics = areMetricsValid(entry, nowMs) ? entry.metrics?.opened.signed : undefined;
    left -= record.length + (metrics?.metrics.length ?? 0) + 2 * HELLO_ENTRY_OVERHEAD_BYTES;
    if (left < 0) break;
    given.records.push(entry.record.signed);
    if (metrics !== undefined) given.metrics.push(metrics);
  }
  return given;
}

function inOrder(members: ReadonlyMap<string, MemberEntry>, ownPeerId: string, random: Pick<Random, 'float'>) {
  const own = members.get(ownPeerId);
  const others = [...members.values()].filter((entry) => entry !== own);
  const from = Math.floor(random.float() * others.length);
  return [...(own === undefined ? [] : [own]), ...others.slice(from), ...others.slice(0, from)];
}

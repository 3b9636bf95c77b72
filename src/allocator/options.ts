import { bytes, defineOptions, flag, integer, list, type OptionsOf, textMap } from '../config/option.ts';
import { HEADROOM_BYTES_DEFAULT } from './constants.ts';

export const allocatorOptions = defineOptions(
  'allocator',
  'Which peers store a pin that does not go everywhere; `docs/allocation.md` has the rule.',
  {
    allocateBy: list({
      default: ['tag:region', 'pinqueue', 'freespace'],
      pattern: '^(tag:.{1,60}|pinqueue|latency|freespace|reposize|numpin)$',
      form: 'tag:<name>, pinqueue, latency, freespace, reposize or numpin',
      itemsMax: 16,
      scope: 'cluster',
      says: 'what peers are chosen by: first tags, over whose values replicas are spread; then `pinqueue` and `latency`, the least first; then one of `freespace`, `reposize`, `numpin`',
    }),
    spread: flag({
      default: true,
      scope: 'cluster',
      says: 'among equals pins go to peers in proportion to their free space (or the like), by their keys; without, always to the one that has most, until it says otherwise, as in IPFS Cluster',
    }),
    pinQueueBucketSize: integer({
      default: 100_000,
      min: 1,
      max: 1_000_000_000,
      scope: 'cluster',
      unit: 'pins',
      says: 'queues count in whole multiples of this: those that differ by less are the same',
    }),
    headroomBytes: bytes({
      default: HEADROOM_BYTES_DEFAULT,
      min: 0,
      scope: 'cluster',
      says: 'a peer with less free space than this keeps what it has and takes nothing new',
    }),
    requiredTags: textMap({
      default: {},
      scope: 'cluster',
      says: 'peers without all of these tags take nothing new',
    }),
    preferredTags: textMap({
      default: {},
      scope: 'cluster',
      says: 'peers that have more of these tags come first',
    }),
  },
);

export type AllocatorOptions = OptionsOf<typeof allocatorOptions>;

const stages = [/^tag:/, /^(pinqueue|latency)$/, /^(freespace|reposize|numpin)$/];

/** There is one order in which every metric has a meaning; in another some would silently have none. */
export function allocateByProblem(allocateBy: readonly string[]): string | undefined {
  const places = allocateBy.map((metric) => stages.findIndex((stage) => stage.test(metric)));
  if (places.some((place, i) => place < (places[i - 1] ?? 0))) {
    return 'tags come first, then pinqueue and latency, then one of freespace, reposize and numpin';
  }
  if (places.filter((place) => place === 2).length <= 1) return undefined;
  return 'there can be one of freespace, reposize and numpin: a second would never be asked';
}

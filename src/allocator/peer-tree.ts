import type { AllocatablePeer } from './allocator.ts';
import { LATENCY_BUCKET_MS } from './constants.ts';
import { textHash } from './key-hash.ts';
import type { AllocatorOptions } from './options.ts';

/** A group of peers that have the same values of the first tags, or one peer. */
export interface TreeNode {
  /** Its place among `PeerTree.nodes`. */
  index: number;
  parent: TreeNode | undefined;
  /** Empty for a peer. */
  children: TreeNode[];
  /** The tag's value, or the peer ID: what is left to tell equals apart. */
  id: string;
  hash: number;
  /** By queue and latency; 0 is best. Of a group: of its best peer that takes pins. */
  rank: number;
  /** Free space, or the like. Of a group: of its peers that take pins, together. */
  share: number;
}

/** The peers that may have pins, in the groups that their tags make. */
export interface PeerTree {
  root: TreeNode;
  nodes: readonly TreeNode[];
  leaves: ReadonlyMap<string, TreeNode>;
  /** Those that take new pins, by how many of the preferred tags they have: most first. */
  takers: readonly (readonly TreeNode[])[];
  /** Those that take what the user names them for. */
  namable: ReadonlySet<TreeNode>;
}

type TreeOptions = Pick<AllocatorOptions, 'allocateBy' | 'preferredTags' | 'pinQueueBucketSize'>;

export function peerTree(given: readonly AllocatablePeer[], options: TreeOptions): PeerTree {
  const peers = given.filter(({ standing }) => standing !== 'leaves').sort((a, b) => (a.peerId < b.peerId ? -1 : 1));
  const tags = options.allocateBy.filter(isTag);
  const taking = peers.filter(({ standing }) => standing === 'takes');
  const ranks = ranksOf(peers, options);
  const root = nodeOf(undefined, '');
  const nodes = [root];
  const leaves = new Map<string, TreeNode>();
  for (const peer of peers) {
    let group = root;
    for (const tag of tags) group = childOf(group, String(peer.metrics.get(tag) ?? ''), nodes);
    const leaf = nodeOf(group, peer.peerId);
    leaf.rank = ranks.get(peer.peerId) ?? 0;
    leaf.share = shareOf(peer, options);
    leaf.index = nodes.push(leaf) - 1;
    group.children.push(leaf);
    leaves.set(peer.peerId, leaf);
    if (peer.standing === 'takes') addToGroups(leaf);
  }
  const leafOf = ({ peerId }: AllocatablePeer) => leaves.get(peerId) as TreeNode;
  return {
    root,
    nodes,
    leaves,
    takers: byPreference(taking, options.preferredTags).map((equals) => equals.map(leafOf)),
    namable: new Set(peers.filter(({ standing }) => standing !== 'keeps').map(leafOf)),
  };
}

export const isTag = (metric: string) => metric.startsWith('tag:');

function nodeOf(parent: TreeNode | undefined, id: string): TreeNode {
  const hash = textHash(parent === undefined ? id : `${parent.hash}/${id}`);
  return { index: 0, parent, children: [], id, hash, rank: Number.POSITIVE_INFINITY, share: 0 };
}

/** The group with that value of the next tag; made if there is none. */
function childOf(group: TreeNode, value: string, nodes: TreeNode[]): TreeNode {
  const known = group.children.find(({ id }) => id === value);
  if (known !== undefined) return known;
  const child = nodeOf(group, value);
  child.index = nodes.push(child) - 1;
  group.children.push(child);
  return child;
}

function addToGroups({ parent, rank, share }: TreeNode): void {
  for (let group = parent; group !== undefined; group = group.parent) {
    group.rank = Math.min(group.rank, rank);
    group.share += share;
  }
}

/** Places by queue and latency in the configured order, in whole buckets; equals have the same. */
function ranksOf(peers: readonly AllocatablePeer[], { allocateBy, pinQueueBucketSize }: TreeOptions) {
  const sizes: Readonly<Record<string, number>> = { pinqueue: pinQueueBucketSize, latency: LATENCY_BUCKET_MS };
  const counted = allocateBy.filter((metric) => sizes[metric] !== undefined);
  const buckets = peers.map(({ peerId, metrics }) => ({
    peerId,
    values: counted.map((metric) => Math.trunc(numberOf(metrics.get(metric)) / (sizes[metric] ?? 1))),
  }));
  const order = (a: readonly number[], b: readonly number[]) =>
    a.map((value, i) => value - (b[i] ?? 0)).find((difference) => difference !== 0) ?? 0;
  buckets.sort((a, b) => order(a.values, b.values));
  let rank = 0;
  const ranks = new Map<string, number>();
  for (const [i, { peerId, values }] of buckets.entries()) {
    if (order(values, buckets[i - 1]?.values ?? values) !== 0) rank = i;
    ranks.set(peerId, rank);
  }
  return ranks;
}

const shares: Readonly<Record<string, (value: number) => number>> = {
  freespace: (bytes) => Math.max(0, bytes),
  reposize: (bytes) => 1 / (1 + bytes),
  numpin: (pins) => 1 / (1 + pins),
};

/** Which part of the pins a peer is to have, among equals. Without a metric that says so: all the same. */
function shareOf({ metrics }: AllocatablePeer, { allocateBy }: TreeOptions): number {
  const metric = allocateBy.find((name) => shares[name] !== undefined);
  return metric === undefined ? 1 : (shares[metric]?.(numberOf(metrics.get(metric))) ?? 1);
}

/** One that has not said it takes no new pins, and is in no comparison. */
function numberOf(value: number | string | undefined): number {
  return typeof value === 'number' ? value : 0;
}

function byPreference(
  peers: readonly AllocatablePeer[],
  preferredTags: Readonly<Record<string, string>>,
): AllocatablePeer[][] {
  const wanted = Object.entries(preferredTags);
  const has = ({ metrics }: AllocatablePeer) =>
    wanted.filter(([name, value]) => metrics.get(`tag:${name}`) === value).length;
  return [...Map.groupBy(peers, has)].sort(([a], [b]) => b - a).map(([, equals]) => equals);
}

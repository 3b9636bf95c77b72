import { distance } from './key-hash.ts';
import type { PeerTree, TreeNode } from './peer-tree.ts';

/**
 * Picks peers one by one for one pin: at each level the group that has fewest of them so far, and of these the best. So replicas go
 * round the groups, and what lies in a group already counts.
 */
export class Picks {
  readonly #tree: PeerTree;
  /** By node: replicas that it has. */
  readonly #taken: number[];
  /** By node: peers that can be picked now. */
  readonly #left: number[];
  /** By node: who has least of it is first among equals. */
  readonly #distances: number[];

  /** `keyHash` undefined: greatest share first. */
  constructor(tree: PeerTree, keyHash: number | undefined) {
    this.#tree = tree;
    // Plain arrays: the memory of a typed array of this size is not V8's own, and costs more than all that is done with it.
    this.#taken = new Array(tree.nodes.length).fill(0);
    this.#left = new Array(tree.nodes.length).fill(0);
    this.#distances = tree.nodes.map(({ hash, share }) =>
      keyHash === undefined ? -share : distance(keyHash, hash, share),
    );
  }

  /** That peer has a replica. Nothing for one that is not in the tree. */
  take(peerId: string): void {
    const leaf = this.#tree.leaves.get(peerId);
    if (leaf !== undefined) add(this.#taken, leaf, 1);
  }

  /** Up to so many of these peers that have none yet, best first. */
  pick(among: Iterable<TreeNode>, count: number): string[] {
    const { root } = this.#tree;
    this.#left.fill(0);
    for (const leaf of among) if (this.#taken[leaf.index] === 0) add(this.#left, leaf, 1);
    const picked: string[] = [];
    while (picked.length < count && this.#left[root.index] !== 0) {
      let node = root;
      while (node.children.length > 0) node = this.#bestOf(node.children);
      add(this.#left, node, -1);
      add(this.#taken, node, 1);
      picked.push(node.id);
    }
    return picked;
  }

  /** There is one with a peer left. */
  #bestOf(children: readonly TreeNode[]): TreeNode {
    let best: TreeNode | undefined;
    for (const child of children) {
      if (this.#left[child.index] !== 0 && (best === undefined || this.#isBetter(child, best))) best = child;
    }
    if (best === undefined) throw new Error('a group that has a peer left has none among its children');
    return best;
  }

  #isBetter(a: TreeNode, b: TreeNode): boolean {
    const taken = (this.#taken[a.index] as number) - (this.#taken[b.index] as number);
    if (taken !== 0) return taken < 0;
    if (a.rank !== b.rank) return a.rank < b.rank;
    const [distanceA, distanceB] = [this.#distances[a.index] as number, this.#distances[b.index] as number];
    if (distanceA !== distanceB) return distanceA < distanceB;
    return a.id < b.id;
  }
}

function add(counts: number[], leaf: TreeNode, change: 1 | -1): void {
  for (let node: TreeNode | undefined = leaf; node !== undefined; node = node.parent) {
    counts[node.index] = (counts[node.index] as number) + change;
  }
}

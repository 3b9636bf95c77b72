import { type Bounds, plainBounds } from './world/bounds.ts';

export interface Slice {
  /** What may happen in it. */
  readonly about: string;
  readonly bounds: Bounds;
  /** One state in so many is healed. */
  readonly healEvery: number;
  /** Too wide to be searched: walks at random instead (search/walk.ts). */
  readonly isWalked?: true;
}

function slice(about: string, healEvery: number, bounds: Partial<Bounds>): Slice {
  return { about, bounds: { ...plainBounds, ...bounds }, healEvery };
}

const unflushed = { isFlushedAtOnce: false, crashes: 1 };

const everything: Partial<Bounds> = {
  peers: 3,
  writes: 12,
  amends: true,
  updates: true,
  groups: true,
  expires: true,
  acknowledges: true,
  backups: true,
  losses: true,
  pends: true,
  isFlushedAtOnce: false,
  crashes: 4,
  cuts: 3,
  cutsAnywhere: true,
  rebuilds: 4,
  isFeedChecked: true,
};

/** Small worlds, each with a few of the things that can go wrong. */
export const slices = {
  small: slice('3 peers, 3 writes', 1, { peers: 3 }),
  causal: slice('3 peers, 4 writes', 4, { peers: 3, writes: 4 }),
  pending: slice('3 peers, 3 writes, early batches put aside', 4, { peers: 3, pends: true }),
  groups: slice('3 peers, 4 writes, requests and batches in groups', 4, { peers: 3, writes: 4, groups: true }),
  acknowledged: slice('2 writes, a rebuild, a crash, acknowledgements', 8, {
    writes: 2,
    rebuilds: 1,
    acknowledges: true,
    ...unflushed,
  }),
  unpins: slice('4 writes, a rebuild', 8, { writes: 4, rebuilds: 1 }),
  amends: slice('3 writes with amendments, a rebuild, a cut', 8, { rebuilds: 1, cuts: 1, amends: true }),
  expiry: slice('4 writes with expiry, a rebuild', 8, { writes: 4, rebuilds: 1, expires: true }),
  crashes: slice('3 writes, a rebuild, a crash', 8, { rebuilds: 1, ...unflushed }),
  atomic: slice('the same with batches of two keys', 8, { rebuilds: 1, updates: true, ...unflushed }),
  backups: slice('3 writes, a rebuild, a restore', 4, { rebuilds: 1, backups: true }),
  mutual: slice('3 writes, two rebuilds', 8, { rebuilds: 2 }),
  chains: slice('3 peers, 2 writes, two rebuilds', 8, { peers: 3, writes: 2, rebuilds: 2 }),
  disks: slice('3 peers, 2 writes, a rebuild, a restore, a loss', 4, {
    peers: 3,
    writes: 2,
    rebuilds: 1,
    backups: true,
    losses: true,
  }),
  cuts: slice('2 writes, two rebuilds, two cuts anywhere', 8, { writes: 2, rebuilds: 2, cuts: 2, cutsAnywhere: true }),
  cuts3: slice('3 pins, two rebuilds, two cuts anywhere', 8, {
    rebuilds: 2,
    cuts: 2,
    unpins: false,
    cutsAnywhere: true,
  }),
  cutchains: slice('3 peers, 2 writes of one key, two rebuilds, a cut', 8, {
    peers: 3,
    keys: 1,
    writes: 2,
    rebuilds: 2,
    cuts: 1,
  }),
  chains3: slice('3 peers, 3 writes, two rebuilds', 16, { peers: 3, rebuilds: 2 }),
  feed: slice('4 writes, a rebuild, what its feed row names', 8, { writes: 4, rebuilds: 1, isFeedChecked: true }),
  feeds: slice('3 writes, two rebuilds, a cut, what their feed rows name', 8, {
    rebuilds: 2,
    cuts: 1,
    isFeedChecked: true,
  }),
  walks: { ...slice('3 peers, 12 writes, all of the above and more: walks at random', 1, everything), isWalked: true },
} as const satisfies Record<string, Slice>;

export type SliceName = keyof typeof slices;

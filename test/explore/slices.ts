import { type Bounds, plainBounds } from './world/bounds.ts';

export interface Slice {
  readonly bounds: Bounds;
  readonly healEvery: number;
  /** Too wide to be searched: walks at random instead (walk.ts). */
  readonly isWalked?: true;
}

function slice(healEvery: number, bounds: Partial<Bounds>): Slice {
  return { bounds: { ...plainBounds, ...bounds }, healEvery };
}

const notAtOnce = { isFlushedAtOnce: false, crashes: 1 };

/** Small worlds, each with a few of the things that can go wrong. */
export const slices = {
  /** What a few seconds allow: every state of a causal world with one write less. */
  small: slice(1, { peers: 3, writes: 3 }),
  pending: slice(4, { peers: 3, writes: 3, pends: true }),
  groups: slice(4, { peers: 3, writes: 4, groups: true }),
  causal: slice(4, { peers: 3, writes: 4 }),
  unpins: slice(8, { writes: 4, rebuilds: 1 }),
  amends: slice(8, { rebuilds: 1, cuts: 1, amends: true }),
  expiry: slice(8, { writes: 4, rebuilds: 1, expires: true }),
  crashes: slice(8, { rebuilds: 1, ...notAtOnce }),
  atomic: slice(8, { rebuilds: 1, updates: true, ...notAtOnce }),
  backups: slice(4, { rebuilds: 1, backups: true }),
  mutual: slice(8, { rebuilds: 2 }),
  chains: slice(8, { peers: 3, writes: 2, rebuilds: 2 }),
  disks: slice(4, { peers: 3, writes: 2, rebuilds: 1, backups: true, losses: true }),
  cuts: slice(8, { writes: 2, rebuilds: 2, cuts: 2, cutsAnywhere: true }),
  cuts3: slice(8, { rebuilds: 2, cuts: 2, unpins: false, cutsAnywhere: true }),
  cutchains: slice(8, { peers: 3, keys: 1, writes: 2, rebuilds: 2, cuts: 1 }),
  chains3: slice(16, { peers: 3, rebuilds: 2 }),
  acknowledged: slice(8, { acknowledges: true, rebuilds: 1, ...notAtOnce, writes: 2 }),
  feed: slice(8, { writes: 4, rebuilds: 1, isFeedChecked: true }),
  feeds: slice(8, { rebuilds: 2, cuts: 1, isFeedChecked: true }),
  walks: {
    ...slice(1, {
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
    }),
    isWalked: true,
  },
} as const satisfies Record<string, Slice>;

export type SliceName = keyof typeof slices;

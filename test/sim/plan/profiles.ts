import type { EventKind } from './plan.ts';

/** What kind of worlds the seeds of a profile make. */
export interface Profile {
  readonly says: string;
  readonly peers: readonly [min: number, max: number];
  readonly faultsMs: readonly [min: number, max: number];
  /** Work events a second. */
  readonly workRate: readonly [min: number, max: number];
  /** Fault events a second. */
  readonly faultRate: readonly [min: number, max: number];
  /** Different contents that pins are of. Few: many operations meet on one key. */
  readonly contents: readonly [min: number, max: number];
  readonly weights: Readonly<Partial<Record<EventKind, number>>>;
  /** Pins of one allocation each and the like; 0: everything goes everywhere. */
  readonly allocated: number;
  readonly expires: number;
  readonly retried: number;
  readonly lateJoins: number;
  /** Worlds in which the log is cut within seconds. */
  readonly cutsLog: number;
  /** Peers count as lost within seconds; else not in a world's time. */
  readonly reallocates: boolean;
  /** So long who starts waits to compare clocks with the others that it knows, before it writes (N3); undefined: as in production. */
  readonly comparesForMs: readonly number[] | undefined;
  /** How often a machine stays down when the others are healed. */
  readonly leavesDown: number;
  /** Within so long the healed core must converge. */
  readonly convergeWithinMs: number;
  /** Peers may write two histories, and operators leave stores that took the one that was given up (N4). */
  readonly forks: boolean;
}

const work = { write: 20, bulk: 1, watch: 1, list: 1, recover: 0.3 };

/** What profiles have in common. */
const usual = {
  peers: [1, 4],
  // Long enough for logs to be cut, peers to be taken for down, and a rebuild to be in the middle of it.
  faultsMs: [10_000, 40_000],
  workRate: [0.5, 3],
  faultRate: [0.05, 0.4],
  contents: [2, 12],
  weights: {
    ...work,
    crash: 3,
    stop: 1,
    partition: 3,
    'slow-link': 1,
    'cut-streams': 1,
    disconnect: 1,
    'gossip-off': 1,
    clock: 0.5,
    'slow-disk': 1,
    'low-disk': 0.5,
    'failing-disk': 0.5,
    backup: 0.7,
    restore: 0.5,
    wipe: 0.5,
    ipfs: 2,
    'ipfs-loses': 0.3,
  },
  allocated: 0.4,
  expires: 0.1,
  retried: 0.5,
  lateJoins: 0.25,
  cutsLog: 0.3,
  reallocates: false,
  comparesForMs: undefined,
  leavesDown: 0.15,
  convergeWithinMs: 300_000,
  forks: false,
} satisfies Omit<Profile, 'says'>;

export const profiles = {
  common: { ...usual, says: 'a bit of everything, three peers mostly', faultsMs: [5_000, 20_000] },
  crash: {
    ...usual,
    says: 'power goes all the time, and disks are slow and fail',
    peers: [1, 3],
    faultRate: [0.3, 1.5],
    workRate: [1, 5],
    contents: [1, 5],
    weights: { ...work, crash: 10, stop: 1, 'slow-disk': 3, 'failing-disk': 2, partition: 1 },
  },
  power: {
    ...usual,
    says: 'power goes while disks are slow, and most writes are of contents of their own',
    peers: [1, 2],
    contents: [20, 40],
    workRate: [1, 3],
    faultRate: [0.5, 1.5],
    weights: { write: 20, watch: 1, crash: 6, 'slow-disk': 6 },
    lateJoins: 0,
  },
  network: {
    ...usual,
    says: 'partitions of all kinds, lost and late messages',
    peers: [3, 5],
    faultRate: [0.3, 1.5],
    workRate: [1, 5],
    contents: [1, 5],
    weights: {
      ...work,
      partition: 8,
      'slow-link': 3,
      'cut-streams': 3,
      disconnect: 3,
      'gossip-off': 2,
      crash: 1,
      'slow-disk': 1,
    },
  },
  watch: {
    ...usual,
    says: 'watches that break off and go on elsewhere',
    peers: [2, 3],
    weights: { write: 20, watch: 6, bulk: 1, crash: 2, stop: 1, partition: 2, disconnect: 2, 'slow-disk': 2 },
    lateJoins: 0.1,
  },
  tracker: {
    ...usual,
    says: 'IPFS nodes that fail, hang, lie and forget',
    peers: [1, 3],
    faultRate: [0.2, 1],
    contents: [2, 8],
    weights: { write: 20, recover: 2, ipfs: 8, 'ipfs-loses': 2, crash: 3, stop: 1, 'slow-disk': 1 },
    allocated: 0.5,
    expires: 0.2,
  },
  expiry: {
    ...usual,
    says: 'pins that expire and are renewed, everywhere at once',
    peers: [2, 3],
    contents: [1, 3],
    weights: { write: 20, partition: 3, disconnect: 2, clock: 1, 'slow-link': 2 },
    expires: 0.7,
    workRate: [1, 4],
  },
  join: {
    ...usual,
    says: 'peers come late, lose their disks and come again',
    peers: [2, 4],
    faultRate: [0.1, 0.5],
    weights: { ...work, wipe: 5, crash: 2, partition: 2, 'slow-disk': 1, stop: 1 },
    lateJoins: 0.6,
  },
  rebuild: {
    ...usual,
    says: 'logs are cut at once, so that whoever was away rebuilds, also in the middle of its own writes',
    peers: [2, 4],
    faultsMs: [15_000, 40_000],
    workRate: [1, 5],
    faultRate: [0.2, 0.8],
    contents: [2, 10],
    weights: { ...work, bulk: 2, partition: 8, crash: 3, wipe: 1, 'slow-disk': 1, 'cut-streams': 2 },
    lateJoins: 0.3,
    cutsLog: 1,
  },
  restore: {
    ...usual,
    says: 'older copies of stores are put back, and stolen copies run beside the original',
    peers: [2, 4],
    faultRate: [0.2, 0.6],
    weights: { ...work, backup: 6, restore: 5, twin: 2, crash: 2, partition: 2, wipe: 1 },
  },
  rollback: {
    ...usual,
    says: 'disks are put back under their stores, whose files look the same, and others are there to tell',
    peers: [2, 4],
    workRate: [1, 5],
    faultRate: [0.2, 0.6],
    weights: {
      write: 20,
      list: 1,
      recover: 0.3,
      bulk: 1,
      backup: 6,
      rollback: 6,
      crash: 2,
      partition: 1,
      'slow-disk': 1,
    },
    lateJoins: 0,
    cutsLog: 0,
    comparesForMs: [600_000],
    leavesDown: 0,
  },
  forks: {
    ...usual,
    says: 'a peer whose disk is put back writes a second history before it meets the others',
    peers: [2, 4],
    workRate: [1, 5],
    faultRate: [0.1, 0.4],
    weights: { write: 20, list: 1, recover: 0.3, bulk: 1, watch: 2, fork: 6, crash: 2, partition: 2, 'slow-disk': 1 },
    lateJoins: 0,
    cutsLog: 0,
    comparesForMs: [300, 1_000],
    leavesDown: 0,
    convergeWithinMs: 1_500_000,
    forks: true,
  },
  damage: {
    ...usual,
    says: 'disks change and lose rows and index entries; operators scrub and repair',
    peers: [2, 4],
    faultRate: [0.2, 0.8],
    contents: [4, 20],
    weights: { ...work, care: 1.5, damage: 10, crash: 2, stop: 1, partition: 2, 'slow-disk': 1, disconnect: 1 },
    lateJoins: 0.3,
    cutsLog: 0,
  },
  members: {
    ...usual,
    says: 'members are removed: some run, some were stopped and come back, some are dead',
    peers: [3, 5],
    faultRate: [0.2, 0.8],
    weights: { ...work, remove: 6, stop: 2, crash: 2, partition: 3, disconnect: 2, 'gossip-off': 1, 'slow-disk': 1 },
    lateJoins: 0.1,
    cutsLog: 0.5,
  },
  trust: {
    ...usual,
    says: 'peers trust some of the others, and then others',
    peers: [2, 5],
    faultRate: [0.1, 0.5],
    weights: { ...work, trust: 10, crash: 2, stop: 1, partition: 3, disconnect: 2, 'gossip-off': 1, wipe: 0.5 },
  },
  placement: {
    ...usual,
    says: 'pins move: peers are lost, come back, and are drained',
    peers: [3, 5],
    faultsMs: [40_000, 100_000],
    workRate: [0.2, 1.5],
    faultRate: [0.05, 0.3],
    contents: [4, 20],
    weights: { write: 20, bulk: 1, crash: 4, stop: 3, drain: 4, 'slow-disk': 1 },
    allocated: 0.9,
    expires: 0.02,
    reallocates: true,
  },
  bulk: {
    ...usual,
    says: 'bulk streams that break off and are taken up again',
    peers: [1, 3],
    weights: { write: 5, bulk: 10, crash: 3, stop: 1, partition: 2, 'cut-streams': 1, 'low-disk': 1, 'slow-disk': 2 },
    contents: [10, 30],
  },
  large: {
    ...usual,
    says: 'up to nine peers',
    peers: [5, 9],
    faultsMs: [20_000, 60_000],
  },
  quiet: {
    ...usual,
    says: 'no faults at all: what is wrong here is wrong every day',
    faultRate: [0, 0],
    lateJoins: 0.1,
  },
} satisfies Record<string, Profile>;

export type ProfileName = keyof typeof profiles;

/** How often a seed is of which profile. */
export const profileWeights: Record<ProfileName, number> = {
  common: 10,
  crash: 3,
  power: 1,
  network: 3,
  watch: 2,
  tracker: 2,
  expiry: 1,
  join: 2,
  rebuild: 3,
  restore: 2,
  rollback: 1,
  forks: 1,
  damage: 2,
  members: 2,
  trust: 2,
  placement: 1,
  bulk: 2,
  large: 0.5,
  quiet: 1,
};

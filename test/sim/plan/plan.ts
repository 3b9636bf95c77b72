import type { AckLevel } from '../../../src/consensus/consensus.ts';
import type { PeerCoreInit } from '../../../src/daemon/peer-core.ts';
import type { MemoryFaults } from '../../../src/ipfs/memory/ipfs-world.ts';
import type { DiskManner } from '../world/sim-disk.ts';
import type { NetworkManner } from '../world/sim-hub.ts';
import type { ProfileName } from './profiles.ts';

/** All that a seed decides before its world begins. Events may be left out of it, to find those that matter. */
export interface Plan {
  readonly seed: number;
  readonly profile: ProfileName;
  readonly machines: readonly MachinePlan[];
  readonly network: NetworkManner;
  readonly events: readonly PlannedEvent[];
  /** Faults may happen until then; what is left of the cluster is whole afterwards. */
  readonly faultsUntilMs: number;
  /** How long the healed core may take to converge. */
  readonly convergeWithinMs: number;
  /** Operators leave stores that took what its author gave up (N4). */
  readonly leavesForked: boolean;
  /** Machines that stay down when the others are healed. */
  readonly leftDown: readonly number[];
  /** When all is healed the peers trust whom they trusted then; else all trust all again. */
  readonly keepsTrust: boolean;
}

export interface MachinePlan {
  readonly name: string;
  readonly config: PeerCoreInit['config'];
  /** Numbers of machines. */
  readonly bootstrap: readonly number[];
  readonly disk: Omit<DiskManner, 'isLow' | 'failNext'>;
  readonly clockOffsetMs: number;
  /** Undefined: with the world; else it joins then. */
  readonly joinsAtMs: number | undefined;
}

export type PlannedEvent = { readonly id: number; readonly atMs: number } & (WorkEvent | FaultEvent);

export type WorkEvent = WriteEvent | BulkEvent | WatchEvent | ListEvent | RecoverEvent | CareEvent;

export interface WriteEvent {
  readonly kind: 'write';
  readonly machine: number;
  readonly op: 'pin' | 'unpin' | 'replace' | 'renew' | 'pin-if-absent' | 'pin-if-match';
  readonly content: number;
  /** Of a replace. */
  readonly to: number;
  readonly namespace: string;
  readonly mode: 'recursive' | 'direct';
  /** 0: never. */
  readonly expiresInMs: number;
  /** 0: the cluster's factors. */
  readonly replication: number;
  readonly hasIdempotencyKey: boolean;
  /** Machines to ask again, one after the other, when no answer came. */
  readonly retries: readonly number[];
  readonly ack: AckLevel;
}

export interface BulkEvent {
  readonly kind: 'bulk';
  /** The stream goes on at the next one when a call fails. */
  readonly machines: readonly number[];
  readonly count: number;
  readonly perCall: number;
  readonly firstContent: number;
  readonly unpins: boolean;
}

export interface WatchEvent {
  readonly kind: 'watch';
  /** It is broken off after so long and goes on at the next machine, by its resume token. */
  readonly legs: readonly { machine: number; forMs: number }[];
  readonly pinsOnly: boolean;
  readonly namespace: string | undefined;
}

export interface ListEvent {
  readonly kind: 'list';
  readonly machine: number;
  readonly order: 'key' | 'name' | 'created' | 'created-descending';
  readonly pageSize: number;
}

export interface RecoverEvent {
  readonly kind: 'recover';
  readonly machine: number;
}

/** An operator scrubs a store and does what its alerts say. */
export interface CareEvent {
  readonly kind: 'care';
  readonly machine: number;
}

/**
 *   flip         a bit of a row
 *   garble       a row's bytes are noise
 *   lose         a row
 *   lose-entry   an entry of an index
 *   flip-entry   a bit of an entry of an index: the entry is gone, and another there
 *   forget       a row with its entries and its share of the digest, as a defect would have it
 *   flip-dot     a bit of what names an operation
 *   flip-log     a bit of a batch of the log
 *   lose-log     a batch of the log
 *   garble-tracker  a row of a table of the tracker
 */
export type DamageKind =
  | 'garble-tracker'
  | 'flip-log'
  | 'lose-log'
  | 'flip'
  | 'flip-dot'
  | 'garble'
  | 'lose'
  | 'lose-entry'
  | 'flip-entry'
  | 'forget';

export type FaultEvent =
  | { readonly kind: 'crash'; readonly machine: number; readonly of: 'machine' | 'process'; readonly downMs: number }
  | { readonly kind: 'stop'; readonly machine: number; readonly downMs: number }
  /** What `from` sends to `to` does not arrive; both ways unless `oneWay`. */
  | {
      readonly kind: 'partition';
      readonly from: readonly number[];
      readonly to: readonly number[];
      readonly oneWay: boolean;
      readonly forMs: number;
    }
  | {
      readonly kind: 'slow-link';
      readonly from: number;
      readonly to: number;
      readonly factor: number;
      readonly forMs: number;
    }
  | { readonly kind: 'cut-streams'; readonly a: number; readonly b: number }
  | { readonly kind: 'disconnect'; readonly a: number; readonly b: number }
  | { readonly kind: 'gossip-off'; readonly forMs: number }
  | { readonly kind: 'clock'; readonly machine: number; readonly offsetMs: number; readonly forMs: number }
  | { readonly kind: 'slow-disk'; readonly machine: number; readonly factor: number; readonly forMs: number }
  | { readonly kind: 'low-disk'; readonly machine: number; readonly forMs: number }
  | {
      readonly kind: 'failing-disk';
      readonly machine: number;
      readonly at: 'commit' | 'flush';
      readonly downMs: number;
    }
  /** `peers rm` of a member, at another one. One that is dead is not started again. */
  | {
      readonly kind: 'remove';
      readonly at: number;
      readonly machine: number;
      readonly was: 'running' | 'stopped' | 'dead';
      readonly downMs: number;
    }
  /** An operator drains a peer, or ends that. */
  | { readonly kind: 'drain'; readonly at: number; readonly machine: number; readonly ends: boolean }
  /** Numbers of the machines whose peers it trusts from then on. */
  | { readonly kind: 'trust'; readonly machine: number; readonly trusts: readonly number[] | 'all' }
  | { readonly kind: 'backup'; readonly machine: number }
  | { readonly kind: 'restore'; readonly machine: number; readonly downMs: number }
  /** An older copy, under the identity stamp that the store has: a snapshot of a disk or of a whole machine. */
  | { readonly kind: 'rollback'; readonly machine: number; readonly downMs: number }
  /**
   * The same, but the peer reaches nobody when it runs again, and writes what others know otherwise (N4). What it writes in between,
   * before its disk is put back, the machine `blind` does not hear; it is the first that is met again.
   */
  | {
      readonly kind: 'fork';
      readonly machine: number;
      readonly blind: number | undefined;
      readonly putBackAfterMs: number;
      readonly downMs: number;
      readonly aloneMs: number;
      /** From there on only `blind` is met. */
      readonly apartMs: number;
    }
  | { readonly kind: 'wipe'; readonly machine: number; readonly downMs: number }
  | { readonly kind: 'twin'; readonly machine: number; readonly forMs: number }
  | {
      readonly kind: 'ipfs';
      readonly machine: number;
      readonly faults: Partial<MemoryFaults>;
      readonly forMs: number;
    }
  /** A record goes from the node without anybody's doing. */
  | { readonly kind: 'ipfs-loses'; readonly machine: number; readonly content: number }
  /** The disk changes what it has stored; `at` picks the row or entry, and the bit. */
  | { readonly kind: 'damage'; readonly machine: number; readonly what: DamageKind; readonly at: number };

export type EventKind = PlannedEvent['kind'];

import type { SignedForgotten, SignedMetrics, SignedPeerRecord } from '../../gen/pinfold/peer/v1/record_pb.ts';

/**
 * What this peer knows of the members: their signed records (kept on disk), what they last measured of themselves, and whether
 * they are up, judged on this peer's own clock.
 */
export interface Monitor {
  /** This peer first, then the others by peer ID. Offline members stay listed. */
  members(): Member[];
  member(peerId: string): Member | undefined;
  isMember(peerId: string): boolean;

  /** Newest valid value of a metric of each member that has one: `freespace`, `pinqueue`, `tag:region`... */
  metric(name: string): { peerId: string; value: number | string }[];

  alerts(): Alert[];
  /** Called when a record, a metric, a member's health or an alert has changed. Returns the unsubscriber. */
  onChange(listener: (change: MonitorChange) => void): () => void;

  /** What other modules find out: raised again with the same kind and peer it only updates the message. */
  raise(alert: Omit<Alert, 'sinceMs'>): void;
  clear(kind: string, peerId: string): void;

  /** Records and metrics of all members, and who was removed, to give away at Hello. */
  forHello(): { records: SignedPeerRecord[]; metrics: SignedMetrics[]; forgotten: SignedForgotten[] };
  /** Takes in what came with a Hello. What is invalid is dropped and counted. */
  receive(
    records: readonly SignedPeerRecord[],
    metrics: readonly SignedMetrics[],
    from: string,
    forgotten?: readonly SignedForgotten[],
  ): void;

  /**
   * Removes a member, here and by its signed word everywhere, until a later record of that peer comes. Resolves when it is on the
   * disk. False: there is no such member.
   */
  forget(peerId: string): Promise<boolean>;

  /** A sign of life from that peer (a Hello, a call). */
  heard(peerId: string): void;

  /** What this peer says of itself may have changed: if so its record is made anew and told at once. */
  renew(): Promise<void>;

  /** Says of this peer that it is to be emptied, or not; kept over restarts. Resolves when it is on the disk. */
  setDraining(draining: boolean): Promise<void>;

  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface Member {
  peerId: string;
  name: string;
  /** Multiaddrs of the cluster swarm with /p2p/. */
  addresses: string[];
  version: string;
  follower: boolean;
  level: number;
  trustHash: Uint8Array;
  ipfs: { peerId: string; addresses: string[]; agent: string } | undefined;
  /** What it holds is to lie elsewhere, and nothing new goes there. */
  draining: boolean;
  self: boolean;
  health: Health;
  /** Wall clock; 0: not since this daemon started. */
  lastHeardMs: number;
  metrics: { name: string; value: number | string; valid: boolean }[];
}

/** `suspect`: not heard for one time to live; `down`: for two. */
export type Health = 'up' | 'suspect' | 'down';

export interface Alert {
  kind: string;
  peerId: string;
  message: string;
  sinceMs: number;
}

export type MonitorChange =
  | { kind: 'record'; peerId: string }
  | { kind: 'metrics'; peerId: string }
  | { kind: 'health'; peerId: string; health: Health }
  | { kind: 'alert'; alert: Alert; raised: boolean };

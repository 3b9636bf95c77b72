import { hash } from 'node:crypto';
import type { PeerCoreInit } from '../../../src/daemon/peer-core.ts';
import type { MemoryFaults } from '../../../src/ipfs/memory/ipfs-world.ts';
import { noFaults } from '../../../src/ipfs/memory/ipfs-world.ts';
import type { Signer } from '../../../src/runtime/ed25519.ts';
import type { MemoryStorage } from '../../../src/storage/memory/memory-storage.ts';
import { NodeDisk } from './node-disk.ts';
import type { DiskManner } from './sim-disk.ts';
import type { SimProcess } from './sim-process.ts';

export interface MachineInit {
  name: string;
  signer: Signer;
  config: PeerCoreInit['config'];
  /** Peer IDs. */
  bootstrap: readonly string[];
  diskManner: Omit<DiskManner, 'isLow' | 'failNext'>;
  clockOffsetMs: number;
}

/** What is left of a peer when its process is not running: its store, its node's disk, its clock, its identity. */
export class Machine {
  readonly name: string;
  readonly signer: Signer;
  #config: PeerCoreInit['config'];
  readonly bootstrap: readonly string[];
  readonly diskManner: DiskManner;
  readonly ipfsFaults: MemoryFaults = noFaults();
  /** Of what its node has ever had a record. */
  readonly held = new Set<string>();
  ipfsDisk = new NodeDisk(this.held);
  clockOffsetMs: number;
  store: MemoryStorage;
  process: SimProcess | undefined;
  /** Older copies of the store. */
  readonly backups: MemoryStorage[] = [];
  #stamps = 0;
  /** Trust lists that it had, and until when. */
  readonly #lists: { untilMs: number; peerIds: readonly string[] }[] = [];
  identityStamp: Uint8Array;
  #putBack = 0;
  processes = 0;
  /** Copies of it that run now, and have run. */
  twins = 0;
  twinsEver = 0;
  /** Contents whose records its node lost without anybody's doing. */
  /** Its node has said of a pin that it is complete without looking. */
  hasLied = false;
  readonly lost = new Set<number>();
  /** After its store has failed it is started again so much later. */
  downMs = 1_000;
  /** Its store is older than what its node holds: nobody knows of some of that any more, and it is left alone. */
  isRestored = false;
  /** An operator was told that it is drained, or not; undefined: was told nothing certain. */
  isDraining: boolean | undefined = false;
  /** An operator has ever tried to drain it. */
  wasDrained = false;
  /** How often, and how many of these are not answered yet. */
  drainActs = 0;
  drainActsUnderWay = 0;
  /** When no process of it ran, from and to; since when it is so now. */
  readonly absences: [fromMs: number, toMs: number][] = [];
  awaySinceMs: number | undefined = 0;
  /** A fork of it is under way. */
  isForking = false;
  /** It remembers addresses of others, whatever its configuration says. */
  knowsOthers = false;
  /** It will not be started again. */
  isGone = false;

  constructor(init: MachineInit, store: MemoryStorage) {
    this.name = init.name;
    this.signer = init.signer;
    this.#config = init.config;
    this.bootstrap = init.bootstrap;
    this.diskManner = { ...init.diskManner, isLow: false, failNext: undefined };
    this.clockOffsetMs = init.clockOffsetMs;
    this.store = store;
    this.identityStamp = this.#nextStamp();
  }

  get peerId(): string {
    return this.signer.peerId;
  }

  get config(): PeerCoreInit['config'] {
    return this.#config;
  }

  /** It gets another trust list now. */
  trustEnds(nowMs: number): void {
    this.#lists.push({ untilMs: nowMs, peerIds: this.trustedPeers });
  }

  /** What its next process begins with. */
  saveTrust(peerIds: readonly string[] | 'all'): void {
    const trustedPeers = peerIds === 'all' ? ['*'] : [...peerIds];
    this.#config = { ...this.#config, crdt: { ...this.#config.crdt, trustedPeers } };
  }

  get trustedPeers(): readonly string[] {
    return this.#config.crdt.trustedPeers;
  }

  trusts({ peerId }: Machine): boolean {
    return peerId === this.peerId || isOn(this.trustedPeers, peerId);
  }

  /** Within so long, also: what is under way when a list changes still comes. */
  hasTrusted({ peerId }: Machine, sinceMs: number): boolean {
    return this.#lists.some(({ untilMs, peerIds }) => untilMs >= sinceMs && isOn(peerIds, peerId));
  }

  get isFollower(): boolean {
    return this.config.cluster.follower;
  }

  /** The store was put back or copied: N1 finds that it is another file. */
  putStore(store: MemoryStorage): void {
    this.rollBack(store);
    this.identityStamp = this.#nextStamp();
  }

  /** The disk below the store was put back: nothing shows it (N1). */
  rollBack(store: MemoryStorage): void {
    this.store = store;
    this.#putBack++;
  }

  /** Another one after each time that a store was put in the place of the one before. */
  get storeName(): string {
    return `${this.name} ${this.#putBack}`;
  }

  #nextStamp(): Uint8Array {
    return hash('sha256', `${this.name} ${this.#stamps++}`, 'buffer').subarray(0, 16);
  }
}

function isOn(trustedPeers: readonly string[], peerId: string): boolean {
  return trustedPeers.includes('*') || trustedPeers.includes(peerId);
}

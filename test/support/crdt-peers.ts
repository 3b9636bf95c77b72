import { createHash } from 'node:crypto';
import { statusRowCodecs } from '../../src/cluster/status-row-codecs.ts';
import { defaultsOf } from '../../src/config/option.ts';
import type { Consensus, Op, Outcome, Request } from '../../src/consensus/consensus.ts';
import { type CrdtConsensus, crdtConsensus } from '../../src/consensus/crdt/crdt-consensus.ts';
import type { CrdtInit } from '../../src/consensus/crdt/crdt-needs.ts';
import { crdtOptions } from '../../src/consensus/crdt/options.ts';
import { crdtTables } from '../../src/consensus/crdt/tables.ts';
import { Trust } from '../../src/consensus/crdt/trust/trust.ts';
import type { PinFields, PinKey } from '../../src/model/pin.ts';
import { pinKey } from '../../src/model/pin-key.ts';
import { type MonitorNeeds, monitor } from '../../src/monitor/gossip-monitor.ts';
import { monitorTables } from '../../src/monitor/member-table.ts';
import type { Monitor } from '../../src/monitor/monitor.ts';
import { MemoryHub, type MemoryHubInit } from '../../src/network/memory/memory-hub.ts';
import { memoryAddress, memoryNetwork } from '../../src/network/memory/memory-network.ts';
import type { Network } from '../../src/network/network.ts';
import type { PeerRpcHandlers } from '../../src/network/peer-methods.ts';
import { pinset } from '../../src/pinset/local-pinset.ts';
import type { Pinset } from '../../src/pinset/pinset.ts';
import { pinsetTables } from '../../src/pinset/tables.ts';
import { ed25519Signer, type Signer } from '../../src/runtime/ed25519.ts';
import { type Logger, silentLogger } from '../../src/runtime/logger.ts';
import { type MetricsRegister, noMetrics } from '../../src/runtime/metrics.ts';
import type { Random } from '../../src/runtime/random.ts';
import { type MemoryStorage, memoryStorage } from '../../src/storage/memory/memory-storage.ts';
import { type VirtualTime, virtualTime } from './virtual-time.ts';

export const crdtTestTables = [...pinsetTables, ...crdtTables, ...monitorTables];

export const plainFields: PinFields = {
  name: '',
  mode: 'recursive',
  replicationMin: -1,
  replicationMax: -1,
  userAllocations: [],
  metadata: [],
  origins: [],
  createdMs: 1_700_000_000_000,
  expiresMs: 0,
  updatedFrom: undefined,
  type: 'data',
};

/** A CIDv1, raw, SHA-256, of nothing in particular. */
export function testCid(name: string | number): Uint8Array {
  return Uint8Array.from([1, 0x55, 0x12, 0x20, ...createHash('sha256').update(`cid ${name}`).digest()]);
}

export function testKey(name: string | number, namespace = 'default'): PinKey {
  return pinKey(testCid(name), namespace);
}

export function pinOp(name: string | number, fields: Partial<PinFields> = {}, allocations: readonly string[] = []): Op {
  return { kind: 'pin', key: testKey(name), fields: { ...plainFields, ...fields }, allocations };
}

export function unpinOp(name: string | number): Op {
  return { kind: 'unpin', key: testKey(name) };
}

/** Numbers that look random and are the same in every run (mulberry32). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const float = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return { float, bytes: (length) => Uint8Array.from({ length }, () => Math.floor(float() * 256)) };
}

export interface TestPeerInit {
  name: string;
  bootstrap?: readonly string[];
  crdt?: Partial<CrdtInit>;
  flush?: 'auto' | 'manual';
  /** How far its wall clock is from the others'. */
  clockOffsetMs?: number;
  /** Names of peers, or all. With it the peer has a monitor: it knows who the members are, and whom they trust. */
  trusts?: readonly string[] | 'all';
  metrics?: MetricsRegister;
}

/** Who is away for some seconds must rebuild, and does so at once. */
export const shortLogs = {
  logAgeMinMs: 1_000,
  logAgeMaxMs: 1_000,
  rebuildPatienceMs: 500,
  antiEntropyIntervalMs: 500,
  pullDelayMs: 50,
};

/** Peers in one process: memory storage and memory network, one virtual clock. */
export class TestCluster {
  readonly time: VirtualTime;
  readonly hub: MemoryHub;
  readonly random: Random;
  readonly peers = new Map<string, TestPeer>();

  constructor(seed = 1, time = virtualTime(), hub: MemoryHubInit = {}) {
    this.time = time;
    this.random = seededRandom(seed);
    this.hub = new MemoryHub(hub, { timers: time.timers, random: this.random });
  }

  /** Brings to the disk what all peers have queued, as far as it is theirs to decide (manual flush). */
  flush(): void {
    for (const { storage } of this.peers.values()) storage.control.flush();
  }

  /** Awaits a start or stop, which may need flushes of that peer. */
  async pumped<T>(peer: TestPeer, work: Promise<T>): Promise<T> {
    let isDone = false;
    const done = work.finally(() => {
      isDone = true;
    });
    done.catch(() => {});
    for (let i = 0; !isDone; i++) {
      if (i > 2_000) throw new Error('it waits for something else than flushes');
      peer.storage.control.flush();
      await this.time.advance(i < 3 ? 0 : 1);
    }
    return done;
  }

  /** Makes and starts a peer that knows those there are. */
  async add(init: TestPeerInit): Promise<TestPeer> {
    const bootstrap = init.bootstrap ?? [...this.peers.values()].map(({ peerId }) => memoryAddress(peerId));
    const storage = memoryStorage({ tables: crdtTestTables, flush: init.flush ?? 'auto' });
    const peer = new TestPeer(this, { ...init, bootstrap }, storage);
    this.peers.set(init.name, peer);
    await this.pumped(peer, peer.start());
    return peer;
  }

  peer(name: string): TestPeer {
    const peer = this.peers.get(name);
    if (peer === undefined) throw new Error(`no peer ${name}`);
    return peer;
  }

  /** Lets time pass until `condition` holds; throws after `limitMs` of virtual time. */
  async until(condition: () => boolean, what: string, limitMs = 120_000): Promise<void> {
    for (let ms = 0; !condition(); ms += 50) {
      if (ms > limitMs) throw new Error(`not within ${limitMs} ms: ${what}`);
      await this.time.advance(50);
    }
  }

  async stop(): Promise<void> {
    for (const peer of this.peers.values()) await this.pumped(peer, peer.stop());
  }
}

export class TestPeer {
  readonly name: string;
  readonly signer: Signer;
  storage: MemoryStorage;
  pinset!: Pinset;
  network!: Network;
  consensus!: CrdtConsensus;
  /** Of peers with `trusts`. */
  trust!: Trust;
  monitor: Monitor | undefined;
  identityStamp: Uint8Array = Buffer.from('first');
  isUp = false;
  freeDiskBytes = () => Number.POSITIVE_INFINITY;
  readonly #cluster: TestCluster;
  readonly #init: TestPeerInit & { bootstrap: readonly string[] };

  constructor(cluster: TestCluster, init: TestPeerInit & { bootstrap: readonly string[] }, storage: MemoryStorage) {
    this.name = init.name;
    this.signer = testSigner(init.name);
    this.storage = storage;
    this.#cluster = cluster;
    this.#init = init;
  }

  get peerId(): string {
    return this.signer.peerId;
  }

  async start(): Promise<void> {
    const { time, hub, random } = this.#cluster;
    const { clockOffsetMs = 0 } = this.#init;
    const clock = { ...time.clock, nowMs: () => time.clock.nowMs() + clockOffsetMs };
    const common = { ...time, clock, logger: this.#logger(), metrics: this.#init.metrics ?? noMetrics, random };
    this.pinset = pinset({}, { storage: this.storage, ...common });
    await this.pinset.open();
    await this.pinset.start();
    const { trusts = 'all' } = this.#init;
    this.trust = new Trust(
      { peerId: this.peerId, trustedPeers: trusts === 'all' ? ['*'] : trusts.map((name) => testSigner(name).peerId) },
      {
        storage: this.storage,
        random,
        members: { list: () => this.monitor?.members() ?? [], get: (peer) => this.monitor?.member(peer) },
      },
    );
    const isTrusted = (peerId: string) => this.trust.isTrusted(peerId);
    const policy = { isMember: () => true, isTrusted };
    this.network = memoryNetwork({ peerId: this.peerId }, { hub, policy, codecs: statusRowCodecs, ...common });
    if (this.#init.trusts !== undefined) this.#watchMembers(common);
    this.consensus = crdtConsensus(
      { ...defaultsOf(crdtOptions), follower: false, bootstrap: this.#init.bootstrap, ...this.#init.crdt },
      {
        storage: this.storage,
        pinset: this.pinset,
        network: this.network,
        signer: this.signer,
        identityStamp: async () => this.identityStamp,
        hello: this.monitor ?? { forHello: () => ({ records: [], metrics: [] }), receive() {} },
        trust: this.trust,
        freeDiskBytes: () => this.freeDiskBytes(),
        ...common,
      },
    );
    this.network.rpc.serve(this.consensus.handlers as PeerRpcHandlers);
    await this.consensus.start();
    await this.network.start();
    await this.monitor?.start();
    for (const address of this.#init.bootstrap) this.network.remember(address.split('/')[2] as string, [address]);
    this.isUp = true;
  }

  async stop(): Promise<void> {
    if (!this.isUp) return;
    this.isUp = false;
    await this.monitor?.stop();
    await this.consensus.stop();
    await this.network.stop();
    await this.pinset.stop();
  }

  #watchMembers(common: Omit<MonitorNeeds, 'storage' | 'network' | 'signer' | 'informers' | 'ipfsId'>): void {
    const { storage, network, signer, trust } = this;
    const made = monitor(
      {
        name: this.name,
        software: 'test',
        follower: this.#init.crdt?.follower ?? false,
        level: 1,
        trustHash: () => trust.own.hash,
        metricsTtlMs: 30_000,
      },
      {
        storage,
        network,
        signer,
        informers: [],
        ipfsId: async () => undefined,
        isTrusted: (peer) => trust.isTrusted(peer),
        ...common,
      },
    );
    made.onChange((change) => {
      if (change.kind === 'record') trust.memberChanged(change.peerId);
    });
    trust.onChange(() => void made.renew());
    this.monitor = made;
  }

  /** The machine loses power: what was not flushed is gone. */
  async crash(): Promise<void> {
    this.isUp = false;
    this.#cluster.hub.leave(this.peerId);
    const { consensus, network, monitor: watching } = this;
    this.storage = this.storage.control.crash('machine');
    await watching?.stop().catch(() => {});
    await consensus.stop().catch(() => {});
    await network.stop().catch(() => {});
  }

  #logger(): Logger {
    if (process.env.CRDT_TEST_LOG === undefined) return silentLogger;
    const write = (level: string) => (message: string, data?: Record<string, unknown>) => {
      process.stderr.write(`${this.name} ${level} ${message} ${data === undefined ? '' : JSON.stringify(data)}\n`);
    };
    const logger: Logger = {
      error: write('error'),
      warn: write('warn'),
      info: write('info'),
      debug: write('debug'),
      trace: write('trace'),
      child: () => logger,
    };
    return logger;
  }

  /** Lets time pass until it is answered, except where flushes come by hand. */
  async commit(...requests: readonly Request[]): Promise<Outcome[]> {
    const work = this.consensus.commit(requests, { signal: new AbortController().signal });
    return this.#init.flush === 'manual' ? work : this.#cluster.pumped(this, work);
  }

  async one(...ops: readonly Op[]): Promise<Outcome> {
    const [outcome] = await this.commit({ ops });
    return outcome as Outcome;
  }

  names(): string[] {
    return this.pinset.list({ filter: {}, order: 'key', limit: 1_000 }).pins.map(({ pin }) => pin.name);
  }

  root(): string {
    return Buffer.from(this.pinset.digest.root()).toString('hex');
  }

  get port(): Consensus {
    return this.consensus;
  }
}

export function testSigner(name: string): Signer {
  return ed25519Signer(createHash('sha256').update(`key of ${name}`).digest());
}

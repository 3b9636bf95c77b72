import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { allocatorOptions } from '../src/allocator/options.ts';
import { clusterOptions } from '../src/cluster/options.ts';
import { statusRowCodecs } from '../src/cluster/status-row-codecs.ts';
import { defaultsOf } from '../src/config/option.ts';
import type { Request } from '../src/consensus/consensus.ts';
import { crdtOptions } from '../src/consensus/crdt/options.ts';
import { type PeerCore, peerCore, peerTables } from '../src/daemon/peer-core.ts';
import type { Connector } from '../src/ipfs/connector.ts';
import { IpfsWorld } from '../src/ipfs/memory/ipfs-world.ts';
import { memoryConnector } from '../src/ipfs/memory/memory-connector.ts';
import { MemoryDisk } from '../src/ipfs/memory/memory-disk.ts';
import { pinKey } from '../src/model/pin-key.ts';
import { monitorOptions } from '../src/monitor/options.ts';
import { libp2pNetwork } from '../src/network/libp2p/libp2p-network.ts';
import type { MemoryHub } from '../src/network/memory/memory-hub.ts';
import { memoryAddress, memoryNetwork } from '../src/network/memory/memory-network.ts';
import type { Network } from '../src/network/network.ts';
import { networkOptions } from '../src/network/options.ts';
import type { PeerPolicy } from '../src/network/peer-methods.ts';
import { pinsetOptions } from '../src/pinset/options.ts';
import { systemClock as clock, systemTimers as timers } from '../src/runtime/clock.ts';
import { ed25519Signer } from '../src/runtime/ed25519.ts';
import { tuneGarbageCollection } from '../src/runtime/garbage.ts';
import { Lifecycle } from '../src/runtime/lifecycle.ts';
import { silentLogger as logger } from '../src/runtime/logger.ts';
import { noMetrics as metrics } from '../src/runtime/metrics.ts';
import { systemRandom as random } from '../src/runtime/random.ts';
import { lmdbStorage } from '../src/storage/lmdb/lmdb-storage.ts';
import { memoryStorage } from '../src/storage/memory/memory-storage.ts';
import { type TrackerOptions, trackerOptions } from '../src/tracker/options.ts';
import { sampleCid } from './sample-pins.ts';

tuneGarbageCollection();
const common = { clock, timers, random, logger, metrics };

export interface BenchCoreInit {
  seed: Uint8Array;
  /** Of the store; undefined: in memory. */
  folder: string | undefined;
  /** Undefined: libp2p on loopback. */
  hub: MemoryHub | undefined;
  /** Addresses of others. */
  bootstrap: readonly string[];
  antiEntropyIntervalMs: number;
  /** Its IPFS node; without: one in memory. */
  connector?: Connector;
  /** Instead of the defaults. */
  tracker?: Partial<TrackerOptions>;
}

/** A peer without doors in this process, with the wiring of the daemon. */
export interface BenchCore extends PeerCore {
  addresses(): readonly string[];
  stop(): Promise<void>;
}

export async function startBenchCore(init: BenchCoreInit): Promise<BenchCore> {
  const { seed, folder, hub, bootstrap, antiEntropyIntervalMs } = init;
  const signer = ed25519Signer(seed);
  if (folder !== undefined) await mkdir(folder, { recursive: true });
  const storage =
    folder === undefined
      ? memoryStorage({ tables: peerTables, flush: 'auto' })
      : await lmdbStorage({ path: join(folder, 'data.mdb'), tables: peerTables });
  const core = peerCore(
    {
      config: {
        cluster: defaultsOf(clusterOptions),
        crdt: { ...defaultsOf(crdtOptions), antiEntropyIntervalMs },
        pinset: defaultsOf(pinsetOptions),
        tracker: { ...defaultsOf(trackerOptions), ...init.tracker },
        monitor: defaultsOf(monitorOptions),
        allocator: defaultsOf(allocatorOptions),
        network: { bootstrap },
      },
      name: signer.peerId.slice(-6),
      version: '0.0.0-bench',
      identityStamp: seed,
    },
    {
      storage,
      network: (policy) => network(policy, init, signer.peerId),
      connector: init.connector ?? nodeInMemory(signer.peerId),
      signer,
      isDiskLow: () => false,
      freeDiskBytes: () => Number.POSITIVE_INFINITY,
      saveTrust: async () => {},
      ...common,
    },
  );
  const lifecycle = new Lifecycle([{ name: 'store', stop: () => storage.close() }, ...core.components]);
  await lifecycle.start();
  const own = () => (hub === undefined ? core.network.addresses() : [memoryAddress(signer.peerId)]);
  return { ...core, addresses: own, stop: () => lifecycle.stop() };
}

function nodeInMemory(peerId: string): Connector {
  const init = { peerId: `node of ${peerId}`, world: new IpfsWorld({ timers }), disk: new MemoryDisk() };
  return memoryConnector(init, common);
}

function network(policy: PeerPolicy, { seed, hub, bootstrap }: BenchCoreInit, peerId: string): Network {
  if (hub === undefined) {
    return libp2pNetwork(
      {
        ...defaultsOf(networkOptions),
        privateKey: seed,
        secret: new Uint8Array(32).fill(9),
        listen: ['/ip4/127.0.0.1/tcp/0'],
        bootstrap,
      },
      { addresses: { load: async () => new Map(), save: async () => {} }, policy, codecs: statusRowCodecs, ...common },
    );
  }
  const made = memoryNetwork({ peerId }, { hub, policy, codecs: statusRowCodecs, ...common });
  for (const address of bootstrap) made.remember(address.split('/')[2] as string, [address]);
  return made;
}

/** Somebody else's: no tracker has anything to do. */
const elsewhere: readonly string[] = ['12D3KooWGRUk6hGvRE2WYzZbzTsBNcRnk5oCSxQkWJcgCLcHxXzz'];

/** Pins number `from` to `from + count`, in calls of `perCall`. */
export async function pinAt(
  { consensus }: BenchCore,
  from: number,
  count: number,
  perCall: number,
  allocations = elsewhere,
): Promise<void> {
  const { signal } = new AbortController();
  for (let i = from; i < from + count; i += perCall) {
    const requests = Array.from({ length: Math.min(perCall, from + count - i) }, (_, j) => request(i + j, allocations));
    const outcomes = await consensus.commit(requests, { signal });
    if (outcomes.some(({ ok }) => !ok)) throw new Error('a pin was refused');
  }
}

function request(i: number, allocations: readonly string[]): Request {
  const fields = {
    ...{ name: `backups/2026/object-${String(i).padStart(7, '0')}`, mode: 'recursive' as const },
    ...{
      replicationMin: allocations.length,
      replicationMax: allocations.length,
      userAllocations: [],
      metadata: [],
      origins: [],
    },
    ...{ createdMs: clock.nowMs(), expiresMs: 0, updatedFrom: undefined, type: 'data' as const },
  };
  return { ops: [{ kind: 'pin', key: pinKey(sampleCid(i), 'default'), fields, allocations }] };
}

export const rootOf = ({ pinset }: BenchCore): string => Buffer.from(pinset.digest.root()).toString('hex');

/** Looks often, for what is waited for is measured. */
export async function until(holds: () => boolean, withinMs = 600_000): Promise<void> {
  const endMs = clock.monotonicMs() + withinMs;
  while (!holds()) {
    if (clock.monotonicMs() > endMs) throw new Error('it did not become so in time');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

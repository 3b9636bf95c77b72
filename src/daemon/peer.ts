import { hash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { ClusterService } from '../../gen/pinfold/v1/cluster_service_pb.ts';
import { PeerService } from '../../gen/pinfold/v1/peer_service_pb.ts';
import { PinService } from '../../gen/pinfold/v1/pin_service_pb.ts';
import { adder } from '../adder/adder.ts';
import { mostFreeSpace } from '../allocator/most-free-space.ts';
import { anonymous, callScopes } from '../api/call-scope.ts';
import { grpcServer } from '../api/grpc/grpc-server.ts';
import { health } from '../api/grpc/health.ts';
import { addReflection } from '../api/grpc/reflection.ts';
import { mount } from '../api/handlers.ts';
import { httpServer } from '../api/http/http-server.ts';
import { metricsServer } from '../api/http/metrics-server.ts';
import { apiMetrics } from '../api/metrics.ts';
import { clusterService } from '../api/services/cluster-service.ts';
import { peerService } from '../api/services/peer-service.ts';
import { pinService } from '../api/services/pin-service.ts';
import { addContent } from '../cluster/add.ts';
import { expiry } from '../cluster/expiry.ts';
import { listPins } from '../cluster/listing.ts';
import { overview } from '../cluster/overview.ts';
import { pins } from '../cluster/pins.ts';
import { clusterStatus } from '../cluster/status.ts';
import { statusHandlers } from '../cluster/status-handlers.ts';
import { watchPins } from '../cluster/watch.ts';
import { crdtConsensus } from '../consensus/crdt/crdt-consensus.ts';
import { crdtTables } from '../consensus/crdt/tables.ts';
import { type EmbeddedInit, embeddedConnector } from '../ipfs/embedded/embedded-connector.ts';
import { PinfoldError } from '../model/errors.ts';
import { monitor } from '../monitor/gossip-monitor.ts';
import { pinQueueInformer, spaceInformers, tagInformers } from '../monitor/informers.ts';
import { monitorTables } from '../monitor/member-table.ts';
import type { Monitor } from '../monitor/monitor.ts';
import { libp2pNetwork } from '../network/libp2p/libp2p-network.ts';
import { pinset } from '../pinset/local-pinset.ts';
import { pinsetTables } from '../pinset/tables.ts';
import { systemClock as clock, systemTimers as timers } from '../runtime/clock.ts';
import { ed25519Signer } from '../runtime/ed25519.ts';
import { type Component, Lifecycle } from '../runtime/lifecycle.ts';
import { pinoLogger } from '../runtime/pino-logger.ts';
import { prometheusMetrics } from '../runtime/prometheus.ts';
import { systemRandom as random } from '../runtime/random.ts';
import { lmdbStorage } from '../storage/lmdb/lmdb-storage.ts';
import { trackerTables } from '../tracker/tables.ts';
import { tracker } from '../tracker/wish-tracker.ts';
import { addressFile } from './address-file.ts';
import { lockFolder } from './folder-lock.ts';
import { identityStamp } from './identity-stamp.ts';
import { ipfsNetworkKey } from './ipfs-key.ts';
import { type LoadedPeer, type LoadPeer, loadPeer } from './load-peer.ts';
import { type PeerConfig, parseListenAddress } from './options.ts';
import { requireFreeDisk, storeGuard } from './store-guard.ts';

export interface StartPeer extends LoadPeer {
  /** Of this software. */
  version: string;
}

export interface RunningPeer {
  /**
   * Stops in order: the doors, then the work, then the consensus (which decides what it has taken in), network and store.
   * Calling it again gives the same promise.
   */
  stop(): Promise<void>;
  /** Rejects when the peer cannot go on and must be stopped; never resolves. */
  readonly failed: Promise<never>;
}

/** Protocol level of this version (docs/protocol.md section 3). */
const protocolLevel = 1;
/** A whole peer of a folder, running when the promise resolves. */
export async function startPeer(start: StartPeer): Promise<RunningPeer> {
  const loaded = await loadPeer(start);
  const lock = await lockFolder(loaded.paths.socket);
  try {
    const { components, failed } = await assemble(loaded, start.version);
    const lifecycle = new Lifecycle([{ name: 'folder lock', stop: () => lock.release() }, ...components]);
    await lifecycle.start();
    return { stop: () => lifecycle.stop(), failed };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** Makes the parts and introduces them to each other by their ports, in the order in which they are to start. */
async function assemble(
  loaded: LoadedPeer,
  version: string,
): Promise<{ components: Component[]; failed: Promise<never> }> {
  const { config, paths, identity, secret } = loaded;
  const { peerId } = identity;
  const logger = pinoLogger(config.log);
  for (const warning of loaded.warnings) logger.warn(warning);
  const metrics = prometheusMetrics();
  const seed = identity.privateKey.raw.subarray(0, 32);
  const signer = ed25519Signer(seed);
  const common = { clock, timers, random, logger, metrics };

  for (const folder of [paths.store, paths.ipfs]) await mkdir(folder, { recursive: true, mode: 0o700 });
  await requireFreeDisk(paths.store);
  const dataFile = join(paths.store, 'data.mdb');
  const storage = await lmdbStorage({
    path: dataFile,
    tables: [...pinsetTables, ...crdtTables, ...trackerTables, ...monitorTables],
    mapBytes: config.storage.mapBytes,
  });
  const guard = storeGuard({ folder: paths.store, peerId, storage, monitor: () => members, timers, logger });
  const stamp = await identityStamp(paths.store, dataFile, random);
  const pinned = pinset({ indexedMetadata: config.pinset.indexedMetadata }, { storage, ...common });

  // The network asks who is a member, and the monitor, which knows, hears it through the network.
  let members: Monitor | undefined;
  const policy = { isMember: (peer: string) => members?.isMember(peer) ?? false, isTrusted: () => true };
  const network = libp2pNetwork(
    { privateKey: seed, secret, ...config.network },
    { addresses: addressFile(paths.addresses, logger), policy, ...common },
  );

  const connector = embeddedConnector(
    {
      agent: `pinfold/${version}`,
      folder: paths.ipfs,
      listenAddresses: config.ipfs.listen,
      network: ipfsNetwork(config, secret),
    },
    common,
  );

  const work = tracker(config.tracker, {
    storage,
    pinset: pinned,
    connector,
    peerId,
    sources: (allocations) => ipfsAddresses(monitored, allocations),
    ...common,
  });

  const ttlMs = config.monitor.metricTtlMs;
  const monitored = monitor(
    {
      name: config.cluster.peerName ?? hostname(),
      software: `pinfold/${version}`,
      follower: config.cluster.follower,
      level: protocolLevel,
      trustHash: new Uint8Array(),
      metricsTtlMs: ttlMs,
    },
    {
      storage,
      network,
      signer,
      informers: [
        ...spaceInformers(connector, ttlMs),
        pinQueueInformer(() => work.counts().queued, ttlMs),
        ...tagInformers(config.monitor.tags, ttlMs),
      ],
      ipfsId: (options) => connector.id(options),
      ...common,
    },
  );
  members = monitored;

  const consensus = crdtConsensus(
    { ...config.crdt, follower: config.cluster.follower, bootstrap: config.network.bootstrap },
    {
      storage,
      pinset: pinned,
      network,
      signer,
      hello: monitored,
      identityStamp: async () => stamp,
      isDiskLow: guard.isDiskLow,
      ...common,
    },
  );
  network.rpc.serve({ ...consensus.handlers, ...statusHandlers({ tracker: work, timers }) });

  const pinUseCases = pins(
    {
      replicationMin: config.cluster.replicationMin,
      replicationMax: config.cluster.replicationMax,
      follower: config.cluster.follower,
    },
    { consensus, pinset: pinned, allocate: mostFreeSpace, candidates: () => candidates(monitored), clock },
  );
  const shared = { peerId, pinset: pinned, tracker: work, monitor: monitored, rpc: network.rpc };
  const seen = overview({ clusterName: config.cluster.name, version, consensus, ...shared });
  const services = [
    mount(
      PinService,
      pinService({
        pins: pinUseCases,
        listPins: listPins({ pinset: pinned, timers }),
        status: clusterStatus({ ...shared, timers }),
        watchPins: watchPins({
          ...shared,
          consensus,
          storeIncarnation: () => hash('sha256', stamp, 'buffer').subarray(0, 16),
          ...common,
        }),
        add: addContent({ adder: adder({ blocks: connector, metrics }), pins: pinUseCases, connector, peerId }),
      }),
    ),
    mount(ClusterService, clusterService(seen)),
    mount(PeerService, peerService(seen)),
  ];

  const scopes = callScopes({ clock, timers, authenticate: anonymous });
  const descriptions = services.map(({ service }) => service);
  const serving = health(descriptions.map(({ typeName }) => typeName));
  const doors = { services, scopes, logger, metrics: apiMetrics(metrics) };
  const grpc = grpcServer(parseListenAddress(config.api.grpcListen), {
    ...doors,
    extend(server) {
      serving.add(server);
      addReflection(server, descriptions);
    },
  });
  const http = httpServer(parseListenAddress(config.api.httpListen), doors);
  const prometheus = metricsServer(parseListenAddress(config.api.metricsListen), metrics);

  const components: Component[] = [
    { name: 'store', stop: () => storage.close() },
    guard,
    { name: 'pinset', start: () => pinned.open().then(() => pinned.start()), stop: () => pinned.stop() },
    { name: 'IPFS node', start: () => connector.start(), stop: () => connector.stop() },
    { name: 'network', start: () => network.start(), stop: () => network.stop() },
    { name: 'monitor', start: () => monitored.start(), stop: () => monitored.stop() },
    { name: 'consensus', start: () => consensus.start(), stop: () => consensus.stop() },
    { name: 'tracker', start: () => work.start(), stop: () => work.stop() },
    expiry(
      {
        delayMs: config.cluster.expiryDelayMs,
        intervalMs: config.cluster.expiryIntervalMs,
        pinsPerRoundMax: expiredPerRoundMax,
      },
      { pinset: pinned, consensus, members: () => monitored.members(), clock, timers, logger },
    ),
    { name: 'metrics', start: () => prometheus.start().then(() => {}), stop: () => prometheus.stop() },
    { name: 'HTTP', start: () => http.start().then(() => {}), stop: () => http.stop() },
    { name: 'gRPC', start: () => grpc.start().then(() => {}), stop: () => grpc.stop() },
    {
      name: 'health',
      async start() {
        serving.set(true);
        logger.info('serving', { peerId, ...config.api, addresses: network.addresses() });
      },
      async stop() {
        serving.set(false);
        logger.info('stopping');
      },
    },
  ];
  return { components, failed: guard.failed };
}

/** Pins whose time has come and that one round takes on. */
const expiredPerRoundMax = 1_000;

/** The key of the private IPFS network follows from the cluster's secret. */
function ipfsNetwork({ ipfs }: PeerConfig, secret: Uint8Array | undefined): EmbeddedInit['network'] {
  if (ipfs.network === 'public') return { kind: 'public' };
  if (secret === undefined) {
    throw new PinfoldError(
      'CONFIG_INVALID',
      'a private IPFS network needs the cluster secret: set ipfs.network to "public", or give the peer its secret',
    );
  }
  return { kind: 'private', key: ipfsNetworkKey(secret) };
}

/** Where content may be had: the IPFS nodes of the other allocations; of all members when it goes everywhere. */
function ipfsAddresses(monitored: Monitor, allocations: readonly string[]): string[] {
  return monitored
    .members()
    .filter((member) => !member.self && (allocations.length === 0 || allocations.includes(member.peerId)))
    .flatMap((member) => member.ipfs?.addresses ?? []);
}

/** Members that are up and have said lately how much space they have. */
function candidates(monitored: Monitor): { peerId: string; freeBytes: number }[] {
  const up = new Set(monitored.members().flatMap(({ peerId, health }) => (health === 'up' ? [peerId] : [])));
  return monitored
    .metric('freespace')
    .flatMap(({ peerId, value }) =>
      up.has(peerId) && typeof value === 'number' ? [{ peerId, freeBytes: value }] : [],
    );
}

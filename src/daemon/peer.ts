import { mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { ClusterService } from '../../gen/pinfold/v1/cluster_service_pb.ts';
import { PeerService } from '../../gen/pinfold/v1/peer_service_pb.ts';
import { PinService } from '../../gen/pinfold/v1/pin_service_pb.ts';
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
import { statusRowCodecs } from '../cluster/status-row-codecs.ts';
import { storeKeeping } from '../cluster/store-keeping.ts';
import type { Monitor } from '../monitor/monitor.ts';
import { libp2pNetwork } from '../network/libp2p/libp2p-network.ts';
import { systemClock as clock, systemTimers as timers } from '../runtime/clock.ts';
import { ed25519Signer } from '../runtime/ed25519.ts';
import { type Component, Lifecycle } from '../runtime/lifecycle.ts';
import { pinoLogger } from '../runtime/pino-logger.ts';
import { prometheusMetrics } from '../runtime/prometheus.ts';
import { systemRandom as random } from '../runtime/random.ts';
import { lmdbStorage } from '../storage/lmdb/lmdb-storage.ts';
import { addressFile } from './address-file.ts';
import { lockFolder } from './folder-lock.ts';
import { identityStamp } from './identity-stamp.ts';
import { ipfsNode } from './ipfs-node.ts';
import { type LoadedPeer, type LoadPeer, loadPeer } from './load-peer.ts';
import { nodeLinks } from './node-links.ts';
import { ipfsWarnings, parseListenAddress } from './options.ts';
import { peerCore, peerTables } from './peer-core.ts';
import { markStoreLeft, setStoreAside } from './store-aside.ts';
import { requireFreeDisk, storeGuard } from './store-guard.ts';
import { trustFile } from './trust-file.ts';

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
  /** Resolves when the peer is to be stopped and started again: it has left its store. */
  readonly restart: Promise<void>;
}

/** So that the answer of the call that asks for a restart is on its way. */
const restartDelayMs = 500;

/** A whole peer of a folder, running when the promise resolves. */
export async function startPeer(start: StartPeer): Promise<RunningPeer> {
  const loaded = await loadPeer(start);
  const lock = await lockFolder(loaded.paths.socket);
  try {
    const { components, failed, restart } = await assemble(loaded, start.version);
    const lifecycle = new Lifecycle([{ name: 'folder lock', stop: () => lock.release() }, ...components]);
    await lifecycle.start();
    return { stop: () => lifecycle.stop(), failed, restart };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** Makes the parts and introduces them to each other by their ports, in the order in which they are to start. */
async function assemble(
  loaded: LoadedPeer,
  version: string,
): Promise<{ components: Component[]; failed: Promise<never>; restart: Promise<void> }> {
  const { config, paths, identity, secret } = loaded;
  const { peerId } = identity;
  const logger = pinoLogger(config.log);
  for (const warning of [...loaded.warnings, ...ipfsWarnings(config)]) logger.warn(warning);
  const metrics = prometheusMetrics();
  const seed = identity.privateKey.raw.subarray(0, 32);
  const common = { clock, timers, random, logger, metrics };

  const setAside = await setStoreAside(paths);
  if (setAside !== undefined) logger.warn('the old store was set aside; this peer joins anew', { setAside });
  for (const folder of [paths.store, paths.ipfs]) await mkdir(folder, { recursive: true, mode: 0o700 });
  await requireFreeDisk(paths.store);
  const dataFile = join(paths.store, 'data.mdb');
  const storage = await lmdbStorage({ path: dataFile, tables: peerTables, mapBytes: config.storage.mapBytes });
  // The guard says by the monitor that the disk is low, and what the monitor belongs to asks the guard whether it is.
  let monitored: Monitor | undefined;
  const guard = storeGuard({ folder: paths.store, peerId, storage, monitor: () => monitored, timers, logger });
  const node = ipfsNode({ config, folder: paths.ipfs, secret, version }, common);
  const addresses = addressFile(paths.addresses, logger);
  const core = peerCore(
    {
      config,
      name: config.cluster.peerName ?? hostname(),
      version,
      identityStamp: await identityStamp(paths.store, dataFile, random),
      knowsOthers: (await addresses.load()).size > 0,
    },
    {
      storage,
      network: (policy) =>
        libp2pNetwork(
          { privateKey: seed, secret, ...config.network },
          { addresses, policy, codecs: statusRowCodecs, ...common },
        ),
      ...node,
      signer: ed25519Signer(seed),
      isDiskLow: guard.isDiskLow,
      freeDiskBytes: guard.freeDiskBytes,
      saveTrust: trustFile(loaded),
      ...common,
    },
  );
  monitored = core.monitor;

  const { promise: restart, resolve: askRestart } = Promise.withResolvers<void>();
  const keeping = storeKeeping({
    store: core.consensus.keeping,
    leaveStore: () => markStoreLeft(paths, clock.nowMs()),
    restart: () => timers.after(restartDelayMs, askRestart),
  });
  const services = [
    mount(
      PinService,
      pinService({
        pins: core.pins,
        listPins: core.listPins,
        status: core.status,
        explainPin: core.explainPin,
        watchPins: core.watchPins,
        resolving: core.resolving,
        add: core.add,
        exporting: core.exporting,
      }),
    ),
    mount(ClusterService, clusterService(core)),
    mount(PeerService, peerService({ ...core, store: keeping })),
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
    ...core.components,
    nodeLinks(
      { intervalMs: config.ipfs.connectIntervalMs },
      { ...node, monitor: core.monitor, random, timers, logger },
    ),
    { name: 'metrics', start: () => prometheus.start().then(() => {}), stop: () => prometheus.stop() },
    { name: 'HTTP', start: () => http.start().then(() => {}), stop: () => http.stop() },
    { name: 'gRPC', start: () => grpc.start().then(() => {}), stop: () => grpc.stop() },
    {
      name: 'health',
      async start() {
        serving.set(true);
        logger.info('serving', { peerId, ...config.api, addresses: core.network.addresses() });
      },
      async stop() {
        serving.set(false);
        logger.info('stopping');
      },
    },
  ];
  return { components, failed: guard.failed, restart };
}

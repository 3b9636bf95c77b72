import { adder } from '../adder/adder.ts';
import { balanced } from '../allocator/balanced.ts';
import { type AddContent, addContent } from '../cluster/adding/add.ts';
import type { Destination } from '../cluster/adding/destinations.ts';
import { ownNode } from '../cluster/adding/own-node.ts';
import { PutBlocksCall } from '../cluster/adding/put-blocks-call.ts';
import { putBlocksHandlers } from '../cluster/adding/put-blocks-handler.ts';
import { type Alerts, alerts } from '../cluster/alerts.ts';
import { type Collecting, collecting, collectingHandlers } from '../cluster/collecting.ts';
import { type Connectivity, connectionHandlers, connectivity } from '../cluster/connectivity.ts';
import { expiry } from '../cluster/expiry.ts';
import { type ExplainPin, explainPin } from '../cluster/explain.ts';
import { type Exporting, exporting } from '../cluster/export/exporting.ts';
import { getBlocksHandlers } from '../cluster/export/get-blocks-handler.ts';
import { heldHere } from '../cluster/held-here.ts';
import { levels } from '../cluster/levels.ts';
import { type ListPins, listPins } from '../cluster/listing.ts';
import { type Membership, membership } from '../cluster/membership.ts';
import { type Overview, overview } from '../cluster/overview.ts';
import { pinWorkHandlers } from '../cluster/pin-work.ts';
import { PinnedWaits } from '../cluster/pinned-waits.ts';
import { type Pins, pins } from '../cluster/pins.ts';
import { Placing } from '../cluster/placing.ts';
import { Absences } from '../cluster/reallocation/absences.ts';
import { type Draining, draining, drainingHandlers } from '../cluster/reallocation/draining.ts';
import { Places } from '../cluster/reallocation/places.ts';
import { Reallocator } from '../cluster/reallocation/reallocator.ts';
import { type Rebalancing, rebalancing } from '../cluster/reallocation/rebalancing.ts';
import { type Resolving, resolving } from '../cluster/resolving.ts';
import { SharedWatching } from '../cluster/shared-watching.ts';
import { type ClusterStatus, clusterStatus } from '../cluster/status.ts';
import { statusHandlers } from '../cluster/status-handlers.ts';
import { type StoreCare, storeCare } from '../cluster/store-care.ts';
import { type Trusting, trusting } from '../cluster/trusting.ts';
import { type WatchPins, watchPins } from '../cluster/watch.ts';
import { TRUSTED_PEERS_MAX } from '../consensus/crdt/constants.ts';
import { type CrdtConsensus, crdtConsensus } from '../consensus/crdt/crdt-consensus.ts';
import { crdtTables } from '../consensus/crdt/tables.ts';
import { Trust } from '../consensus/crdt/trust/trust.ts';
import type { Connector } from '../ipfs/connector.ts';
import { type NodeStates, nodeUp } from '../ipfs/node-state.ts';
import { monitor } from '../monitor/gossip-monitor.ts';
import {
  latencyInformer,
  pinCountInformer,
  pinQueueInformer,
  spaceInformers,
  tagInformers,
} from '../monitor/informers.ts';
import { monitorTables } from '../monitor/member-table.ts';
import type { Monitor } from '../monitor/monitor.ts';
import type { Network } from '../network/network.ts';
import type { PeerPolicy } from '../network/peer-methods.ts';
import { pinset } from '../pinset/local-pinset.ts';
import type { Pinset } from '../pinset/pinset.ts';
import { pinsetTables } from '../pinset/tables.ts';
import type { Clock, Timers } from '../runtime/clock.ts';
import type { Signer } from '../runtime/ed25519.ts';
import type { Component } from '../runtime/lifecycle.ts';
import type { Logger } from '../runtime/logger.ts';
import type { MetricsRegister } from '../runtime/metrics.ts';
import type { Random } from '../runtime/random.ts';
import type { Storage, TableSpec } from '../storage/storage.ts';
import { trackerTables } from '../tracker/tables.ts';
import type { StatusCounts, Tracker } from '../tracker/tracker.ts';
import { tracker } from '../tracker/wish-tracker.ts';
import { auditOnReturn } from './audit-on-return.ts';
import { nodeAlerts } from './node-alerts.ts';
import type { PeerConfig } from './options.ts';

/** All tables of a peer's store. */
export const peerTables: readonly TableSpec[] = [...pinsetTables, ...crdtTables, ...trackerTables, ...monitorTables];

export interface PeerCoreInit {
  config: Pick<PeerConfig, 'cluster' | 'crdt' | 'pinset' | 'tracker' | 'monitor' | 'allocator'> & {
    network: Pick<PeerConfig['network'], 'bootstrap'>;
  };
  /** Of this peer, for people. */
  name: string;
  /** Of this software. */
  version: string;
  /** What tells this store from a copy of it (N1). */
  identityStamp: Uint8Array;
  /** It remembers addresses of other peers. */
  knowsOthers?: boolean;
}

export interface PeerCoreNeeds {
  /** Opened with `peerTables`. */
  storage: Storage;
  /** Made here, as the network asks who is a member, and the monitor, which knows, hears it through the network. */
  network: (policy: PeerPolicy) => Network;
  connector: Connector;
  /** If its node can be otherwise than up. */
  nodeStates?: NodeStates;
  signer: Signer;
  isDiskLow(): boolean;
  freeDiskBytes(): number;
  /** Keeps the trust list over restarts. */
  saveTrust(peerIds: readonly string[] | 'all'): Promise<void>;
  clock: Clock;
  timers: Timers;
  random: Random;
  logger: Logger;
  metrics: MetricsRegister;
}

/** Everything of a peer that stands between its store, its network and its IPFS node, and the doors. */
export interface PeerCore {
  readonly pinset: Pinset;
  readonly network: Network;
  readonly monitor: Monitor;
  readonly consensus: CrdtConsensus;
  readonly tracker: Tracker;
  readonly pins: Pins;
  readonly listPins: ListPins;
  readonly status: ClusterStatus;
  readonly explainPin: ExplainPin;
  readonly watchPins: WatchPins;
  readonly overview: Overview;
  readonly alerts: Alerts;
  readonly connectivity: Connectivity;
  readonly storeCare: StoreCare;
  readonly trusting: Trusting;
  readonly membership: Membership;
  readonly draining: Draining;
  readonly collecting: Collecting;
  readonly resolving: Resolving;
  readonly exporting: Exporting;
  readonly rebalancing: Rebalancing;
  readonly add: AddContent;
  /** In the order in which they are to start. The store, which is to be closed last, is not among them. */
  readonly components: readonly Component[];
}

/** Protocol level of this version (docs/protocol.md section 3). */
const protocolLevel = 1;
/** Pins whose time has come and that one round takes on. */
const expiredPerRoundMax = 1_000;

/**
 * Introduces the parts of a peer to each other by their ports. The same for the daemon and for whole clusters in one
 * process: what differs is handed in.
 */
export function peerCore(
  { config, name, version, identityStamp, knowsOthers = false }: PeerCoreInit,
  needs: PeerCoreNeeds,
): PeerCore {
  const { storage, connector, signer, isDiskLow, freeDiskBytes, clock, timers, random, logger, metrics } = needs;
  const { nodeStates } = needs;
  const { peerId } = signer;
  const common = { clock, timers, random, logger, metrics };
  const software = `pinfold/${version}`;
  const pinned = pinset(config.pinset, { storage, ...common });

  let members: Monitor | undefined;
  const trust = new Trust(
    { peerId, trustedPeers: config.crdt.trustedPeers },
    { storage, random, members: { list: () => members?.members() ?? [], get: (peer) => members?.member(peer) } },
  );
  const network = needs.network({
    isMember: (peer) => members?.isMember(peer) ?? false,
    isTrusted: (peer) => trust.isTrusted(peer),
  });

  const work = tracker(config.tracker, {
    storage,
    pinset: pinned,
    connector,
    peerId,
    sources: (allocations) => ipfsAddresses(monitored, allocations),
    history: () => consensus.history,
    ...common,
  });

  if (nodeStates !== undefined) auditOnReturn(nodeStates, work);

  const ttlMs = config.monitor.metricTtlMs;
  const monitored = monitor(
    {
      name,
      software,
      follower: config.cluster.follower,
      level: protocolLevel,
      trustHash: () => trust.own.hash,
      metricsTtlMs: ttlMs,
    },
    {
      storage,
      network,
      signer,
      informers: [
        ...spaceInformers(connector, ttlMs),
        pinQueueInformer(() => work.counts().queued, ttlMs),
        pinCountInformer(() => pinCount(work.counts()), ttlMs),
        latencyInformer(connector, clock, ttlMs),
        ...tagInformers(config.monitor.tags, ttlMs),
      ],
      ipfsId: (options) => connector.id(options),
      isTrusted: (peer) => trust.isTrusted(peer),
      ...common,
    },
  );
  members = monitored;
  monitored.onChange((change) => {
    if (change.kind === 'record') trust.memberChanged(change.peerId);
  });
  trust.onChange(() => void monitored.renew());

  const consensus = crdtConsensus(
    { ...config.crdt, follower: config.cluster.follower, bootstrap: config.network.bootstrap, knowsOthers },
    {
      storage,
      pinset: pinned,
      network,
      signer,
      hello: monitored,
      trust,
      identityStamp: async () => identityStamp,
      isDiskLow,
      freeDiskBytes,
      ...common,
    },
  );
  const ipfsState = () => nodeStates?.current ?? nodeUp;
  const held = heldHere({ tracker: work, timers });
  const connecting = { network, monitor: monitored, ipfsState, clock, timers };
  network.rpc.serve({
    ...consensus.handlers,
    ...statusHandlers({ tracker: work, timers }),
    ...connectionHandlers(connecting),
    ...pinWorkHandlers({ tracker: work, ipfsState }),
    ...drainingHandlers(monitored),
    ...collectingHandlers({ connector, clock }),
    ...putBlocksHandlers({ connector, held, timers }),
    ...getBlocksHandlers({ connector }),
  });
  const alerting = alerts({ monitor: monitored, consensus, timers, metrics });

  const { replicationMin, replicationMax, follower } = config.cluster;
  const shared = { peerId, pinset: pinned, tracker: work, monitor: monitored, rpc: network.rpc };
  const isTrusted = (peer: string) => trust.isTrusted(peer);
  const absences = new Absences({ graceMs: config.cluster.reallocationGraceMs }, { monitor: monitored, clock });
  const isLost = (peer: string) => absences.isLost(peer);
  const allocator = balanced(config.allocator);
  const placing = new Placing(config.allocator, { allocator, monitor: monitored, trust, isLost, clock });
  const { allocateBy } = config.allocator;
  const places = () => new Places(placing.peers, { allocator, allocateBy, isLost });
  const pace = { pinsPerSecondMax: config.cluster.reallocatedPinsPerSecondMax };
  const reallocator = new Reallocator(pace, {
    ...shared,
    ...common,
    consensus,
    isTrusted,
    places,
    held: () => absences.held(),
  });
  const watchNeeds = { ...shared, consensus, ...common };
  const watching = new SharedWatching(watchNeeds);
  const pinnedWaits = new PinnedWaits({ ...shared, ...common, shared: watching });
  const acks = levels({ ...shared, ...common, consensus, pinned: pinnedWaits });
  const status = clusterStatus({ ...shared, clock, timers });
  const writes = pins(
    { replicationMin, replicationMax, follower },
    { consensus, pinset: pinned, levels: acks, placing, clock },
  );
  const destination = (peer: string): Destination =>
    peer === peerId ? ownNode({ peerId, connector, held }) : new PutBlocksCall(peer, { rpc: network.rpc, timers });
  return {
    pinset: pinned,
    network,
    monitor: monitored,
    consensus,
    tracker: work,
    pins: writes,
    listPins: listPins({ pinset: pinned, timers }),
    status,
    explainPin: explainPin({
      ...shared,
      ...{ status, placing, ipfsState, clock, timers },
      allocateBy: config.allocator.allocateBy,
    }),
    watchPins: watchPins(watchNeeds, watching),
    storeCare: storeCare({ pinset: pinned, consensus, clock }),
    overview: overview({
      clusterName: config.cluster.name,
      version,
      consensus,
      trust,
      ipfsState,
      alerts: alerting,
      ...shared,
    }),
    alerts: alerting,
    connectivity: connectivity(connecting),
    trusting: trusting({ peerId, trustedPeersMax: TRUSTED_PEERS_MAX }, { trust, save: needs.saveTrust }),
    membership: membership({ ...shared, network, clock, timers }),
    draining: draining({ ...shared, places, clock, timers }),
    collecting: collecting({ ...shared, connector, clock, timers }),
    resolving: resolving({ ...shared, connector, addresses: (peerIds) => ipfsAddresses(monitored, peerIds) }),
    add: addContent({ peerId, adder: adder({ metrics }), pins: writes, placing, destination, logger }),
    exporting: exporting({ ...shared, connector, pins: writes, network, timers }),
    rebalancing: rebalancing(pace, { ...shared, consensus, places, timers }),
    components: [
      { name: 'pinset', start: () => pinned.open().then(() => pinned.start()), stop: () => pinned.stop() },
      { name: 'IPFS node', start: () => connector.start(), stop: () => connector.stop() },
      ...(nodeStates === undefined ? [] : [nodeAlerts({ nodeStates, monitor: monitored, peerId })]),
      { name: 'network', start: () => network.start(), stop: () => network.stop() },
      { name: 'monitor', start: () => monitored.start(), stop: () => monitored.stop() },
      { name: 'consensus', start: () => consensus.start(), stop: () => consensus.stop() },
      alerting,
      { name: 'tracker', start: () => work.start(), stop: () => work.stop() },
      expiry(
        {
          delayMs: config.cluster.expiryDelayMs,
          intervalMs: config.cluster.expiryIntervalMs,
          pinsPerRoundMax: expiredPerRoundMax,
        },
        { pinset: pinned, consensus, members: () => monitored.members(), clock, timers, logger },
      ),
      ...(config.cluster.reallocate && !follower ? [reallocator] : []),
    ],
  };
}

function pinCount({ pinned, pinning, queued, failed }: StatusCounts): number {
  return pinned + pinning + queued + failed;
}

/** Where content may be had: the IPFS nodes of the other allocations; of all members when it goes everywhere. */
function ipfsAddresses(monitored: Monitor, allocations: readonly string[]): string[] {
  return monitored
    .members()
    .filter((member) => !member.self && (allocations.length === 0 || allocations.includes(member.peerId)))
    .flatMap((member) => member.ipfs?.addresses ?? []);
}

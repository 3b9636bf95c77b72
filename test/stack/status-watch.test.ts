import t from 'tap';
import { collectingHandlers } from '../../src/cluster/collecting.ts';
import { connectionHandlers } from '../../src/cluster/connectivity.ts';
import { getBlocksHandlers } from '../../src/cluster/export/get-blocks-handler.ts';
import { pinWorkHandlers } from '../../src/cluster/pin-work.ts';
import { drainingHandlers } from '../../src/cluster/reallocation/draining.ts';
import { clusterStatus, type PinStatus } from '../../src/cluster/status.ts';
import { statusHandlers } from '../../src/cluster/status-handlers.ts';
import { type WatchEvent, type WatchQuery, watchPins } from '../../src/cluster/watch.ts';
import { defaultsOf } from '../../src/config/option.ts';
import { crdtConsensus } from '../../src/consensus/crdt/crdt-consensus.ts';
import { crdtOptions } from '../../src/consensus/crdt/options.ts';
import { IpfsWorld } from '../../src/ipfs/memory/ipfs-world.ts';
import { memoryConnector } from '../../src/ipfs/memory/memory-connector.ts';
import { nodeUp } from '../../src/ipfs/node-state.ts';
import { formatCid } from '../../src/model/cid.ts';
import { monitor } from '../../src/monitor/gossip-monitor.ts';
import { spaceInformers } from '../../src/monitor/informers.ts';
import { monitorTables } from '../../src/monitor/member-table.ts';
import { MemoryHub } from '../../src/network/memory/memory-hub.ts';
import { memoryAddress, memoryNetwork } from '../../src/network/memory/memory-network.ts';
import type { PeerRpcHandlers } from '../../src/network/peer-methods.ts';
import { pinset as localPinset } from '../../src/pinset/local-pinset.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { noMetrics } from '../../src/runtime/metrics.ts';
import { type MemoryStorage, memoryStorage } from '../../src/storage/memory/memory-storage.ts';
import { trackerOptions } from '../../src/tracker/options.ts';
import { trackerTables } from '../../src/tracker/tables.ts';
import { tracker as wishTracker } from '../../src/tracker/wish-tracker.ts';
import { crdtTestTables, pinOp, seededRandom, testCid, testSigner, unpinOp } from '../support/crdt-peers.ts';
import { virtualTime } from '../support/virtual-time.ts';

const tables = [...crdtTestTables, ...trackerTables, ...monitorTables];
const everything: WatchQuery = {
  filter: {},
  resumeToken: undefined,
  pinsOnly: false,
  changesOnly: false,
  statuses: [],
  peerIds: [],
};

/** Whole peers: everything that runs in a daemon above storage, network and IPFS node, and those in memory. */
function cluster() {
  const time = virtualTime();
  const random = seededRandom(5);
  const hub = new MemoryHub({}, { timers: time.timers, random });
  const ipfs = new IpfsWorld(time);
  const names = ['a', 'b', 'c'];
  const addresses = names.map((name) => memoryAddress(testSigner(name).peerId));

  async function start(
    name: string,
    storage: MemoryStorage = memoryStorage({ tables, flush: 'auto' }),
    disk?: ReturnType<typeof memoryConnector>['disk'],
  ) {
    const signer = testSigner(name);
    const { peerId } = signer;
    const common = { ...time, random, logger: silentLogger, metrics: noMetrics };
    const pinset = localPinset({}, { storage, ...common });
    await pinset.open();
    const isMember = (id: string) => members.isMember(id);
    const network = memoryNetwork({ peerId }, { hub, policy: { isMember, isTrusted: () => true }, ...common });
    const connector = memoryConnector(
      { peerId: `node-${name}`, world: ipfs, isInstant: true, ...(disk === undefined ? {} : { disk }) },
      time,
    );
    const asked: string[] = [];
    const node = noting(connector, asked);
    const tracker = wishTracker(defaultsOf(trackerOptions), {
      storage,
      pinset,
      connector: node,
      peerId,
      sources: () => [],
      history: () => new Uint8Array(16),
      ...common,
    });
    const members = monitor(
      { name, software: 'test', follower: false, level: 1, trustHash: () => new Uint8Array(), metricsTtlMs: 30_000 },
      {
        storage,
        network,
        signer,
        informers: spaceInformers(connector),
        ipfsId: (options) => connector.id(options),
        ...common,
      },
    );
    const consensus = crdtConsensus(
      { ...defaultsOf(crdtOptions), follower: false, bootstrap: addresses },
      { storage, pinset, network, signer, identityStamp: async () => Buffer.from('same'), hello: members, ...common },
    );
    const connecting = { network, monitor: members, ipfsState: () => nodeUp, ...time };
    const handlers: PeerRpcHandlers = {
      ...consensus.handlers,
      ...statusHandlers({ tracker, ...time }),
      ...connectionHandlers(connecting),
      ...pinWorkHandlers({ tracker, ipfsState: () => nodeUp }),
      ...drainingHandlers(members),
      ...collectingHandlers({ connector, ...time }),
      ...getBlocksHandlers({ connector }),
      putBlocks: async function* () {},
    };
    network.rpc.serve(handlers);
    await connector.start();
    await pinset.start();
    await network.start();
    await members.start();
    for (const address of addresses)
      if (!address.includes(peerId)) network.remember(address.split('/')[2] as string, [address]);
    await consensus.start();
    await tracker.start();
    const ports = { peerId, pinset, tracker, monitor: members, rpc: network.rpc, ...time };
    return {
      peerId,
      storage,
      connector,
      asked,
      consensus,
      pinset,
      members,
      tracker,
      status: clusterStatus(ports),
      watch: watchPins({ ...ports, consensus, random, metrics: noMetrics }),
      async stop() {
        await tracker.stop();
        await consensus.stop();
        await members.stop();
        await network.stop();
        await pinset.stop();
        await connector.stop();
      },
    };
  }

  async function until(condition: () => boolean, what: string, limitMs = 120_000) {
    for (let ms = 0; !condition(); ms += 20) {
      if (ms > limitMs) throw new Error(`not within ${limitMs} ms: ${what}`);
      await time.advance(20);
    }
  }

  async function settled<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const done = work.finally(() => {
      isDone = true;
    });
    done.catch(() => {});
    await until(() => isDone, 'the call ends');
    return done;
  }

  return { time, hub, start, until, settled };
}

/** Writes down what the node is asked, but for its space, which informers ask for now and then. */
function noting<T extends object>(connector: T, asked: string[]): T {
  return new Proxy(connector, {
    get(target, name) {
      const value = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        asked.push(String(name));
        return value.apply(target, args);
      };
    },
  });
}

function context() {
  const controller = new AbortController();
  return {
    principal: 'anonymous',
    namespaces: 'all' as const,
    deadlineMs: undefined,
    signal: controller.signal,
    abort: () => controller.abort(new Error('enough')),
  };
}

type Running = Awaited<ReturnType<ReturnType<typeof cluster>['start']>>;

function follow(peer: Running, query: Partial<WatchQuery> = {}) {
  const call = context();
  const statuses = new Map<string, string>();
  const seen = {
    pins: new Map<string, string>(),
    statuses,
    kinds: [] as WatchEvent['kind'][],
    token: undefined as Uint8Array | undefined,
    caughtUp: false,
    error: undefined as unknown,
    stop: async () => {
      call.abort();
      await done;
    },
  };
  const done = (async () => {
    try {
      for await (const { events, resumeToken, caughtUp } of peer.watch({ ...everything, ...query }, call)) {
        seen.caughtUp ||= caughtUp;
        seen.token = resumeToken ?? seen.token;
        for (const event of events) {
          seen.kinds.push(event.kind);
          if (event.kind === 'pinned') seen.pins.set(formatCid(event.stored.pin.cid), event.stored.pin.name);
          if (event.kind === 'unpinned') seen.pins.delete(formatCid(event.cid));
          if (event.kind === 'status')
            statuses.set(`${event.peer.peerName} ${formatCid(event.cid)}`, event.peer.status);
        }
      }
    } catch (error) {
      seen.error = error;
    }
  })();
  return seen;
}

const told = (seen: ReturnType<typeof follow>, peer: string, name: string | number) =>
  seen.statuses.get(`${peer} ${formatCid(testCid(name))}`);

t.test(
  'three whole peers: status and watch of the cluster from any of them, through a loss and a restart',
  async (t) => {
    const { hub, start, until, settled, time } = cluster();
    const [a, b] = [await start('a'), await start('b')];
    let c = await start('c');
    const all = [a, b, c];
    await until(() => all.every((peer) => peer.members.members().length === 3), 'they know each other');
    await until(() => all.every((peer) => peer.consensus.status().phase === 'ready'), 'ready');
    await until(() => all.every((peer) => peer.members.metric('freespace').length === 3), 'metrics');
    t.ok(a.members.members().every((member) => member.health === 'up' && member.ipfs?.peerId.startsWith('node-')));

    const { signal } = context();
    const watcher = follow(b);
    await until(() => watcher.caughtUp, 'caught up');
    const requests = Array.from({ length: 300 }, (_, i) => ({
      ops: [pinOp(i, { name: `n${i}`, replicationMin: 2, replicationMax: 2 }, [a.peerId, c.peerId])],
    }));
    const outcomes = await settled(a.consensus.commit(requests, { signal }));
    t.ok(outcomes.every(({ ok }) => ok));
    await until(
      () => watcher.pins.size === 300 && [...watcher.statuses.values()].filter((s) => s === 'pinned').length === 600,
      'the watcher at another peer sees all pinned on both',
    );

    const one = await settled(b.status.pinStatus({ cid: testCid(7), namespace: 'default', peerIds: [] }, context()));
    t.same(
      one.peers.map(({ peerName, status }) => `${peerName} ${status}`),
      ['b remote', ...one.peers.slice(1).map(({ peerName }) => `${peerName} pinned`)],
    );
    const list = async (peer: Running, statuses: Parameters<Running['status']['listStatuses']>[0]['statuses'] = []) => {
      const found: PinStatus[] = [];
      const errors: string[] = [];
      const query = { filter: {}, statuses, peerIds: [], pageSize: 0, cursor: undefined };
      const work = async () => {
        for await (const piece of peer.status.listStatuses(query, context())) {
          found.push(...piece.statuses);
          errors.push(...piece.errors.map(({ peerName }) => peerName));
        }
      };
      await settled(work());
      return { found, errors };
    };
    t.equal((await list(b)).found.length, 300);
    t.same((await list(b, ['pin_error'])).found, []);
    for (const { asked } of all) asked.length = 0;
    for (const peer of all) {
      await settled(peer.status.pinStatus({ cid: testCid(8), namespace: 'default', peerIds: [] }, context()));
      await list(peer);
      await list(peer, ['pin_error', 'unexpectedly_unpinned']);
      await list(peer, ['pin_queued']);
      const seen = follow(peer, { statuses: ['pinned'] });
      await until(() => seen.statuses.size === 600, 'a watch by status');
      await seen.stop();
    }
    for (const { asked } of all) t.same(asked, [], 'no request about status asks a node');

    c.connector.faults.isDown = true;
    await settled(a.consensus.commit([{ ops: [pinOp('x', { name: 'x' })] }], { signal }));
    await until(() => told(watcher, 'a', 'x') === 'pinned' && told(watcher, 'b', 'x') === 'pinned', 'x on two');
    t.not(told(watcher, 'c', 'x'), 'pinned');
    c.connector.faults.isDown = false;
    await until(() => told(watcher, 'c', 'x') === 'pinned', 'x on the third once its node answers');

    for (const other of [a, b]) hub.partition(c.peerId, other.peerId);
    await until(() => watcher.kinds.includes('peer-lost'), 'the lost peer is told');
    t.same((await list(a)).errors, ['c']);
    await until(
      () => a.members.alerts().some(({ kind, peerId }) => kind === 'PEER_DOWN' && peerId === c.peerId),
      'alert',
    );
    await settled(b.consensus.commit([{ ops: [unpinOp(3)] }, { ops: [pinOp('y', { name: 'y' })] }], { signal }));
    await until(() => told(watcher, 'a', 'y') === 'pinned', 'y');
    for (const other of [a, b]) hub.heal(c.peerId, other.peerId);
    await until(() => told(watcher, 'c', 'y') === 'pinned', 'the third catches up and its word comes again');
    t.ok(watcher.kinds.includes('reset'));
    await until(() => a.members.alerts().length === 0, 'no alert stands');

    await time.advance(2_000);
    const token = watcher.token as Uint8Array;
    await watcher.stop();
    await settled(a.consensus.commit([{ ops: [pinOp('z', { name: 'z' })] }, { ops: [unpinOp(5)] }], { signal }));
    await until(() => c.pinset.get(requests[5]?.ops[0]?.key as Uint8Array) === undefined, 'c has it');
    const elsewhere = follow(c, { resumeToken: token });
    await until(() => elsewhere.caughtUp && told(elsewhere, 'b', 'z') === 'pinned', 'resumed at another peer');
    t.ok(elsewhere.pins.has(formatCid(testCid('z'))));
    t.ok(elsewhere.kinds.includes('unpinned'));
    t.ok(elsewhere.pins.size < 10, 'not all again');
    const here = follow(b, { resumeToken: token });
    await until(() => here.caughtUp && told(here, 'a', 'z') === 'pinned', 'resumed at the same peer');
    t.same([...here.pins.values()], ['z']);

    await elsewhere.stop();
    await settled(c.stop());
    hub.leave(c.peerId);
    await until(() => here.kinds.includes('peer-lost'), 'c is gone');
    c = await start('c', c.storage.control.crash(), c.connector.disk);
    t.equal(c.members.members().length, 3, 'it remembers the members');
    const resets = () => here.kinds.filter((kind) => kind === 'reset').length;
    await until(() => resets() > 0 && told(here, 'c', 'z') === 'pinned', 'c is back');
    await here.stop();
    for (const peer of [a, b, c]) await settled(peer.stop());
    t.equal(time.pending(), 0, 'no timer is left');
  },
);

import { type MonitorNeeds, monitor } from '../../../src/monitor/gossip-monitor.ts';
import type { Informer } from '../../../src/monitor/informers.ts';
import { monitorTables } from '../../../src/monitor/member-table.ts';
import type { Monitor } from '../../../src/monitor/monitor.ts';
import type { GossipSubscriber } from '../../../src/network/network.ts';
import { ed25519Signer, type Signer } from '../../../src/runtime/ed25519.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { noMetrics } from '../../../src/runtime/metrics.ts';
import { type MemoryStorage, memoryStorage } from '../../../src/storage/memory/memory-storage.ts';
import { seededRandom, virtualTime } from '../../support/virtual-time.ts';

export const TTL_MS = 30_000;

export interface WorldPeer {
  signer: Signer;
  storage: MemoryStorage;
  monitor: Monitor;
  remembered: Map<string, readonly string[]>;
  addresses: string[];
  informers: Informer[];
  /** Verdict of this peer on a message. */
  deliver(message: Uint8Array, from: string): 'accept' | 'ignore' | 'reject';
  connect(peerId: string): void;
}

/** Peers on one flooding bus: what one publishes reaches each of the others, unless it is lost or they are cut off. */
export function world(seed = 1, init: Pick<MonitorNeeds, 'isTrusted'> = {}) {
  const time = virtualTime();
  const random = seededRandom(seed);
  const peers: WorldPeer[] = [];
  const subscribers = new Map<string, GossipSubscriber>();
  const cutOff = new Set<string>();
  const options = { loss: 0 };

  function publish(from: string, message: Uint8Array) {
    if (cutOff.has(from)) return;
    for (const [to, subscriber] of subscribers) {
      if (to === from || cutOff.has(to) || random.float() < options.loss) continue;
      time.timers.after(random.float() * 100, () => subscriber.receive(message, from));
    }
  }

  function peer(number: number, storage = memoryStorage({ tables: monitorTables, flush: 'auto' })): WorldPeer {
    const signer = ed25519Signer(new Uint8Array(32).fill(number));
    const { peerId } = signer;
    const remembered = new Map<string, readonly string[]>();
    const addresses = [`/ip4/127.0.0.1/tcp/${9000 + number}/p2p/${peerId}`];
    const informers: Informer[] = [{ name: 'freespace', ttlMs: TTL_MS, read: async () => number * 100 }];
    const connections: ((peerId: string, up: boolean) => void)[] = [];
    let subscriber: GossipSubscriber | undefined;
    const network: MonitorNeeds['network'] = {
      peerId,
      addresses: () => addresses,
      connected: () => [],
      onConnection(listener) {
        connections.push(listener);
        return () => {};
      },
      remember: (id, list) => remembered.set(id, list),
      forget: (id) => remembered.delete(id),
      gossip: {
        publish: (_topic, message) => publish(peerId, message),
        subscribe(_topic, given) {
          subscriber = given;
          subscribers.set(peerId, given);
        },
      },
    };
    const made: WorldPeer = {
      signer,
      storage,
      remembered,
      addresses,
      informers,
      deliver: (message, from) => subscriber?.receive(message, from) ?? 'ignore',
      connect: (id) => {
        for (const listener of connections) listener(id, true);
      },
      monitor: monitor(
        {
          name: `peer-${number}`,
          software: 'pinfold/test',
          follower: false,
          level: 1,
          trustHash: () => new Uint8Array(),
          metricsTtlMs: TTL_MS,
        },
        {
          ...init,
          storage,
          network,
          signer,
          informers,
          ipfsId: async () => ({
            peerId: `ipfs-${number}`,
            addresses: [`/ip4/127.0.0.1/tcp/4${number}`],
            agent: 'test/1',
          }),
          clock: time.clock,
          timers: time.timers,
          random,
          logger: silentLogger,
          metrics: noMetrics,
        },
      ),
    };
    peers.push(made);
    return made;
  }

  return { time, options, peers, peer, cutOff, subscribers };
}

import { MemoryHub } from '../src/network/memory/memory-hub.ts';
import { systemTimers as timers } from '../src/runtime/clock.ts';
import { systemRandom as random } from '../src/runtime/random.ts';
import { type BenchCore, pinAt, rootOf, startBenchCore, until } from './bench-core.ts';
import { threePeers } from './core-peers.ts';
import type { BenchContext } from './main.ts';
import { SocketBytes } from './socket-bytes.ts';
import { type Sent, Traffic } from './traffic.ts';
import { loadNow } from './usage.ts';

const intervalMs = 500;
const measuredMs = 10_000;

/** Long enough to see what comes now and then. */
const idleMs = 60_000;
/** IPFS Cluster 1.1.6, empty. */
const ipfsClusterCpuSecondsPerMinute = 0.4;

/**
 * Anti-entropy when nothing differs: bytes of a round (a Hello and its answer, as encoded) at a small and a ten times larger
 * pinset, of 3 peers over libp2p, whose whole traffic is counted, too, and of 24 in memory.
 */
export async function idle(context: BenchContext): Promise<void> {
  await rounds(context);
  await atRest(context);
}

/** Processor time and traffic of three peers with the defaults, each a process of its own, that all track all pins. */
async function atRest({ figures, root, pins }: BenchContext): Promise<void> {
  const peers = await threePeers({ root, pins, counted: 'traffic' });
  const look = () => peers.map((peer) => ({ ...peer.now(), cpu: peer.cpuSeconds() }));
  figures.progress(`  three peers at rest, ${pins} pins; ${loadNow()}`);
  const before = look();
  await new Promise((resolve) => setTimeout(resolve, idleMs));
  const after = look();
  const mean = (value: (at: (typeof before)[0]) => number) =>
    after.reduce((sum, at, i) => sum + value(at) - value(before[i] as typeof at), 0) / peers.length / (idleMs / 1_000);
  const kinds = Object.keys(after[0]?.traffic ?? {});
  const rates = kinds.map((kind) => `${kind} ${mean(({ traffic }) => traffic[kind]?.bytes ?? 0).toFixed()}`);
  const note = `at most: IPFS Cluster, empty (another machine of this size); a peer of three, ${pins} pins`;
  const cpu = mean((at) => at.cpu) * 60;
  figures.add({ name: 'idle', figure: 'cpu', value: cpu, unit: 's/min', limit: ipfsClusterCpuSecondsPerMinute, note });
  const wire = `received by a peer of three, ${pins} pins; messages it sent or had sent to it, B/s: ${rates.join(', ')}`;
  figures.add({ name: 'idle', figure: 'wire-at-rest', value: mean((at) => at.received), unit: 'B/s', note: wire });
}

async function rounds({ figures, pins }: BenchContext): Promise<void> {
  const sizes = [Math.min(1_000, pins), Math.min(10_000, pins * 10)] as const;
  const sockets = new SocketBytes();
  for (const [peers, hub] of [
    [3, undefined],
    [24, new MemoryHub({}, { timers, random })],
  ] as const) {
    const cores = await cluster(peers, hub);
    const atFew = await measured(cores, 0, sizes[0], sockets);
    const atMore = await measured(cores, sizes[0], sizes[1] - sizes[0], sockets);
    const note = `${peers} peers ${hub === undefined ? 'over libp2p' : 'in memory'}, ${sizes[1]} pins; at ${sizes[0]}`;
    figures.add({ name: 'idle', figure: 'round', value: atMore.round, unit: 'B', limit: atFew.round, note });
    if (hub === undefined) {
      const rest = `${note}: all traffic of a peer at a Hello each ${intervalMs} ms, gossip and pings with it`;
      figures.add({ name: 'idle', figure: 'wire', value: atMore.wire, unit: 'B/s', limit: atFew.wire, note: rest });
    }
    for (const core of cores) await core.stop();
  }
}

async function cluster(peers: number, hub: MemoryHub | undefined): Promise<BenchCore[]> {
  const cores: BenchCore[] = [];
  for (let n = 1; n <= peers; n++) {
    const bootstrap = cores.flatMap((core) => core.addresses());
    const seed = new Uint8Array(32).fill(100 + n);
    cores.push(await startBenchCore({ seed, folder: undefined, hub, bootstrap, antiEntropyIntervalMs: intervalMs }));
  }
  await until(() =>
    cores.every(
      ({ network, monitor }) => network.connected().length === peers - 1 && monitor.members().length === peers,
    ),
  );
  return cores;
}

/** Bytes of a round, and bytes each peer received in a second. */
async function measured(
  cores: readonly BenchCore[],
  from: number,
  count: number,
  sockets: SocketBytes,
): Promise<{ round: number; wire: number }> {
  await pinAt(cores[0] as BenchCore, from, count, 1_000);
  await until(() => cores.every((core) => rootOf(core) === rootOf(cores[0] as BenchCore)));
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const traffic = new Traffic();
  for (const { network } of cores) traffic.count(network);
  const before = sockets.received;
  await new Promise((resolve) => setTimeout(resolve, measuredMs));
  const wire = (sockets.received - before) / cores.length / (measuredMs / 1_000);
  traffic.stop();
  const { count: calls, bytes } = traffic.kinds.get('hello') as Sent;
  return { round: bytes / calls, wire };
}

import * as client from 'prom-client';
import { apiMetrics } from '../src/api/metrics.ts';
import { ipfsNode } from '../src/daemon/ipfs-node.ts';
import { loadPeerConfig } from '../src/daemon/options.ts';
import { peerCore, peerTables } from '../src/daemon/peer-core.ts';
import { libp2pNetwork } from '../src/network/libp2p/libp2p-network.ts';
import { systemClock as clock, systemTimers as timers } from '../src/runtime/clock.ts';
import { ed25519Signer } from '../src/runtime/ed25519.ts';
import { silentLogger as logger } from '../src/runtime/logger.ts';
import type { MetricSpec, MetricsRegister } from '../src/runtime/metrics.ts';
import { systemRandom as random } from '../src/runtime/random.ts';
import { memoryStorage } from '../src/storage/memory/memory-storage.ts';

export interface DescribedMetric {
  name: string;
  type: string;
  help: string;
  labels: readonly string[];
}

/** Every metric that a daemon registers, with an IPFS node of either kind: a whole peer is made, and not started. */
export function peerMetrics(): DescribedMetric[] {
  const found = new Map<string, DescribedMetric>();
  const metrics = recorder(found);
  const seed = new Uint8Array(32).fill(1);
  const common = { clock, timers, random, logger, metrics };
  const { config } = loadPeerConfig({ variables: {} });
  const node = (kind: 'embedded' | 'kubo') =>
    ipfsNode({ config: { ...config, ipfs: { ...config.ipfs, kind } }, folder: '', secret: seed, version: '' }, common);
  const { connector } = node('embedded');
  node('kubo');
  peerCore(
    { config, name: '', version: '', identityStamp: seed },
    {
      storage: memoryStorage({ tables: peerTables, flush: 'auto' }),
      network: (policy) =>
        libp2pNetwork(
          { privateKey: seed, secret: seed, ...config.network },
          { addresses: { load: async () => new Map(), save: async () => {} }, policy, ...common },
        ),
      connector,
      signer: ed25519Signer(seed),
      isDiskLow: () => false,
      freeDiskBytes: () => 0,
      saveTrust: async () => {},
      ...common,
    },
  );
  apiMetrics(metrics);
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Those of the process, which prom-client has. Some of them are there on Linux alone. */
export function processMetrics(): DescribedMetric[] {
  const register = new client.Registry();
  client.collectDefaultMetrics({ register });
  return register.getMetricsAsArray().map((metric) => {
    const { labelNames = [] } = metric as { labelNames?: string[] };
    return { name: metric.name, type: String(metric.type), help: metric.help, labels: labelNames };
  });
}

function recorder(found: Map<string, DescribedMetric>): MetricsRegister {
  const note = (type: string, { name, help, labels = [] }: MetricSpec<string>) => {
    found.set(name, { name, type, help, labels });
    return { add() {}, set() {}, observe() {} };
  };
  return {
    counter: (spec) => note('counter', spec),
    gauge: (spec) => note('gauge', spec),
    histogram: (spec) => note('histogram', spec),
  };
}

/** Sections of the reference, by what the names begin with. What is of none of them is of the cluster. */
const sections: readonly [title: string, prefixes: readonly string[]][] = [
  ['Pinset', ['pinset']],
  ['Consensus', ['crdt']],
  ['Tracker', ['tracker']],
  ['Cluster', []],
  ['Members', ['members', 'monitor', 'informer']],
  ['Requests of clients', ['api', 'adder']],
  ['Network between the peers', ['network', 'rpc', 'gossip']],
  ['IPFS node', ['ipfs']],
];

const sectionOf = ({ name }: DescribedMetric) =>
  sections.find(([, prefixes]) => prefixes.includes(name.split('_')[1] as string))?.[0] ?? 'Cluster';

export function metricsReference(): string {
  const all = peerMetrics();
  const parts = sections.map(([title]) => [title, all.filter((metric) => sectionOf(metric) === title)] as const);
  return [...parts, ['Process', processMetrics()] as const]
    .map(([title, metrics]) => tableOf(title, metrics))
    .join('\n');
}

function tableOf(title: string, metrics: readonly DescribedMetric[]): string {
  const rows = metrics.map(
    ({ name, type, help, labels }) =>
      `| \`${name}\` | ${type} | ${unitOf(name)} | ${labels.map((label) => `\`${label}\``).join(' ')} | ${sentence(help)} |`,
  );
  return [
    `## ${title}`,
    '',
    '| name | type | unit | labels | meaning |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

function unitOf(name: string): string {
  return /_(seconds|bytes)(_total)?$/.exec(name)?.[1] ?? '';
}

function sentence(help: string): string {
  const text = help.replaceAll('|', '\\|').replace(/\.$/, '');
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

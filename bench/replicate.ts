import { type LocalPeer, until } from '../scripts/local-cluster.ts';
import { benchPeer } from './daemon.ts';
import type { BenchContext } from './main.ts';
import { runScript } from './processes.ts';
import { cpuSecondsOf, loadNow } from './usage.ts';

/** What the bulk client prints. */
interface Sent {
  operations: number;
  seconds: number;
  cpuSeconds: number;
  /** Answers below the level that was asked for. */
  below: number;
}

interface Written extends Sent {
  /** Seconds from the last answer until all digests agree. */
  behindSeconds: number;
  /** Processor time of each daemon until then, seconds. */
  daemons: number[];
}

const agreeWithinMs = 15 * 60_000;
const rate = ({ operations, seconds }: Pick<Sent, 'operations' | 'seconds'>): number => operations / seconds;

/** What two other peers cost the writer of bulk, and whether they keep up; all three share the machine. */
export async function replicate(context: BenchContext): Promise<void> {
  const { figures } = context;
  const [first, second] = await alone(context);
  const peers = await cluster(context);
  const [writer] = peers as [LocalPeer];

  const durable = await written(context, peers, writer, 0);
  const replicated = await written(context, peers, writer, context.pins, 'replicated=3');

  const add = (figure: string, value: number, limit: number, note: string) =>
    figures.add({ name: 'replicate', figure, value, unit: 'pins/s', limit, note });
  add('durable', rate(durable), first.rate, `the same writer alone; the goal is 0.5; ${used(first, durable)}`);
  const below = `${replicated.below} answers below it`;
  add(
    'replicated-3',
    rate(replicated),
    second.rate,
    `the same writer alone, DURABLE; ${below}; ${used(second, replicated)}`,
  );
  const [alonePerPin] = perPin(first) as [number];
  const [writerPerPin, ...followersPerPin] = perPin(durable) as [number, number, number];
  const cost = (figure: string, value: number, limit: number, note: string) =>
    figures.add({ name: 'replicate', figure, value, unit: 'us', limit, note });
  cost(
    'writer',
    writerPerPin,
    2 * alonePerPin,
    'processor time a pin: twice that of the same writer alone, the goal where each peer has its own machine',
  );
  cost(
    'follower',
    Math.max(...followersPerPin),
    writerPerPin,
    'processor time a pin of the dearer follower: the writer, as followers are to keep up',
  );
  add(
    'agree',
    context.pins / (durable.seconds + durable.behindSeconds),
    rate(durable),
    'the writer: until all digests agree; the goal is 1',
  );
  for (const peer of peers) await peer.kill('SIGTERM');
}

type Alone = Written & { rate: number };

/** All daemons share the processors: what each used for a pin says more than the rate. */
function used(alone: Written, ofThree: Written): string {
  const shown = (written: Written) => perPin(written).map(Math.round).join(' + ');
  return `microseconds of processor a pin: ${shown(ofThree)}, alone ${shown(alone)}`;
}

/** Microseconds of processor time of each daemon. */
function perPin({ daemons, operations }: Written): number[] {
  return daemons.map((seconds) => (seconds / operations) * 1e6);
}

/** The rates of one peer without others, for the first and for the second lot of pins. */
async function alone(context: BenchContext): Promise<[Alone, Alone]> {
  const peer = await benchPeer(context.root);
  await peer.start();
  const first = await written(context, [peer], peer, 0);
  const second = await written(context, [peer], peer, context.pins);
  await peer.kill('SIGTERM');
  return [
    { ...first, rate: rate(first) },
    { ...second, rate: rate(second) },
  ];
}

async function cluster({ root }: BenchContext): Promise<LocalPeer[]> {
  const peers = [await benchPeer(root), await benchPeer(root), await benchPeer(root)];
  const [writer] = peers as [LocalPeer];
  await writer.start();
  for (const peer of peers.slice(1)) await peer.start({ bootstrap: [writer.address] });
  await until('the peers know each other', async () => {
    const seen = await Promise.all(peers.map(({ clients }) => clients.peers.listPeers({})));
    return seen.every(
      ({ peers: members }) => members.length === 3 && members.every(({ metrics }) => metrics.length > 0),
    );
  });
  return peers;
}

async function written(
  { figures, pins }: BenchContext,
  peers: readonly LocalPeer[],
  writer: LocalPeer,
  from: number,
  ack = 'durable',
): Promise<Written> {
  const before = peers.map((peer) => cpuSecondsOf(peer.pid()));
  const sent = await runScript<Sent>('./bulk-client.ts', [writer.host, String(from), String(pins), ack]);
  const behindSeconds = await agreed(peers);
  const daemons = peers.map((peer, i) => cpuSecondsOf(peer.pid()) - (before[i] ?? 0));
  const all = sent.seconds + behindSeconds;
  const cores = [...daemons, sent.cpuSeconds].map((seconds) => (seconds / all).toFixed(2));
  figures.progress(
    `  ${peers.length === 1 ? 'alone' : 'of three'}, ${ack}: ${Math.round(rate(sent))}/s; all digests agree ${behindSeconds.toFixed(1)} s after` +
      ` the last answer; cores: ${cores.join(' + ')} of the client; ${loadNow()}`,
  );
  return { ...sent, behindSeconds, daemons };
}

/** Seconds until all hold the same. */
async function agreed(peers: readonly LocalPeer[]): Promise<number> {
  const began = performance.now();
  await until(
    'all digests agree',
    async () => {
      const clusters = await Promise.all(peers.map(({ clients }) => clients.cluster.getCluster({})));
      return clusters.every(({ digest }) => Buffer.compare(digest, clusters[0]?.digest ?? Buffer.alloc(0)) === 0);
    },
    agreeWithinMs,
  );
  return (performance.now() - began) / 1000;
}

import { type CorePeer, threePeers } from './core-peers.ts';
import type { BenchContext } from './main.ts';
import { runScript } from './processes.ts';
import type { StatusesRead } from './status-client.ts';
import { loadNow } from './usage.ts';

const mib = 2 ** 20;
/** One in so many pins fails, on all peers. */
const failingEvery = 300;
const pageGoalMs = 25;
/** IPFS Cluster 1.1.6, one peer: 1 M statuses in 46 s. */
const ipfsClusterRate = 1_000_000 / 46;
/** More is a listing, or pages, that keep something for each pin. */
const listGrowthBytesMax = 150 * mib;
const pageGrowthBytesMax = 16 * mib;

/** Statuses of three peers that all track all pins: a page of those that failed, and all of them. */
export async function status({ figures, root, pins }: BenchContext): Promise<void> {
  const peers = await threePeers({ root, pins, failingEvery, counted: 'nothing' });
  const [first] = peers;
  const { host, failed } = first.now();
  const add = (figure: string, value: number, unit: string, limit: number, note: string) =>
    figures.add({ name: 'status', figure, value, unit, limit, note });
  figures.progress(`  ${pins} pins on three peers, ${failed} of them failed; ${loadNow()}`);
  const callsBefore = peers.map((peer) => peer.now().nodeCalls);

  const pages = Math.min(1_000, Math.ceil(pins / 10));
  const read = () => runScript<StatusesRead>('./status-client.ts', [host, 'pages', String(pages)]);
  // A peer that has run for a minute has its code compiled. Collections that are forced throw compiled code away, so it is made once more.
  await read();
  const before = await collected(first);
  await read();
  const usedByPages = cpuOf(peers);
  const page = await read();
  const pageCpu = usedByPages().map((seconds) => ((seconds / pages) * 1e3).toFixed(1));
  const after = await collected(first);
  const at = (share: number) => page.callMs[Math.floor(page.callMs.length * share)] as number;
  figures.progress(
    `  a page of ${(page.pins / pages).toFixed()}: ${at(0.5).toFixed(1)} ms median, ${at(1 - 1 / pages).toFixed(1)} at most; ${loadNow()}`,
  );
  const what = `at most: ${pages} pages of 100 of ${failed} that failed, out of ${pins}, from a cursor each; milliseconds of processor a page: ${hereAndThere(pageCpu)}`;
  add('error-page-p99-ms', at(0.99), 'ms', pageGoalMs, what);
  add('error-page-heap', after / mib, 'MiB', before / mib, `after ${2 * pages} pages, collected; before them`);
  if (after - before > pageGrowthBytesMax) throw new Error(`the heap grew from ${before} to ${after} bytes`);

  const usedByListing = cpuOf(peers);
  const listed = await watched(peers, () => runScript<StatusesRead>('./status-client.ts', [host, 'ListPinStatuses']));
  const pinCpu = usedByListing().map((seconds) => ((seconds / pins) * 1e6).toFixed(1));
  if (listed.read.pins !== pins) throw new Error(`listed ${listed.read.pins} pins of ${pins}`);
  const plain = await runScript<StatusesRead>('./status-client.ts', [host, 'ListPins']);
  const rate = pins / listed.read.seconds;
  const used = `microseconds of processor a pin: ${hereAndThere(pinCpu)}`;
  add('list-rate', rate, 'pins/s', ipfsClusterRate, `IPFS Cluster (another machine of this size, one peer); ${used}`);
  add('list-plain', rate, 'pins/s', pins / plain.seconds, 'the same pins by ListPins, which asks nobody');
  const most = Math.max(...listed.grownBytes);
  add(
    'list-memory',
    most / mib,
    'MiB',
    100,
    'at most: what the peer that grew most has grown by, without the mapped store',
  );
  if (most > listGrowthBytesMax) throw new Error(`a peer grew by ${most} bytes`);

  const nodeCalls = peers.map((peer, i) => peer.now().nodeCalls - (callsBefore[i] as number));
  if (nodeCalls.some((calls) => calls > 0)) throw new Error(`nodes were asked: ${nodeCalls.join(', ')} calls`);
}

/** Processor time that each peer uses from now on until it is asked, seconds. */
function cpuOf(peers: readonly CorePeer[]): () => number[] {
  const before = peers.map((peer) => peer.cpuSeconds());
  return () => peers.map((peer, i) => peer.cpuSeconds() - (before[i] as number));
}

const hereAndThere = ([here, ...there]: readonly string[]) =>
  `${here} at the peer asked, ${there.join(' and ')} at the others`;

/** Heap in use after a full collection, bytes: the least of some looks. */
async function collected(peer: CorePeer): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5; i++) {
    process.kill(peer.now().pid, 'SIGUSR2');
    await new Promise((resolve) => setTimeout(resolve, 600));
    least = Math.min(least, peer.now().heap);
  }
  return least;
}

/** What it read, and by how much each peer grew meanwhile at most. */
async function watched(peers: readonly CorePeer[], work: () => Promise<StatusesRead>) {
  const before = peers.map((peer) => peer.now().own);
  const most = [...before];
  const timer = setInterval(() => {
    for (const [i, peer] of peers.entries()) most[i] = Math.max(most[i] as number, peer.now().own);
  }, 100);
  const read = await work();
  clearInterval(timer);
  return { read, grownBytes: most.map((bytes, i) => bytes - (before[i] as number)) };
}

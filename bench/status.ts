import { join } from 'node:path';
import { until } from './bench-core.ts';
import type { BenchContext } from './main.ts';
import { runScript, type StartedScript, startScript } from './processes.ts';
import type { StatusesRead } from './status-client.ts';
import type { StatusPeerLine } from './status-peer.ts';
import { loadNow } from './usage.ts';

const mib = 2 ** 20;
/** One in so many pins fails, on all peers. */
const failingEvery = 300;
const pages = 1_000;
const pageGoalMs = 25;

/** Statuses of three peers that all track all pins: a page of those that failed, and all of them. */
export async function status({ figures, root, pins }: BenchContext): Promise<void> {
  const peers = await threePeers(root, pins);
  const lines = () => peers.map(lineOf);
  const { host, pid } = lineOf(peers[0] as StartedScript);
  await until(() => lines().every(({ pinned, failed }) => pinned + failed === pins));
  const failed = lineOf(peers[0] as StartedScript).failed;
  figures.progress(`  ${pins} pins on three peers, ${failed} of them failed; ${loadNow()}`);

  const callsBefore = lines().map(({ nodeCalls }) => nodeCalls);
  await runScript('./status-client.ts', [host, 'pages', '200']);
  const before = await collected(peers[0] as StartedScript, pid);
  const page = await runScript<StatusesRead>('./status-client.ts', [host, 'pages', String(pages)]);
  const after = await collected(peers[0] as StartedScript, pid);
  const at = (share: number) => page.callMs[Math.floor(page.callMs.length * share)] as number;
  figures.progress(
    `  a page of ${page.pins / pages}: ${at(0.5).toFixed(1)} ms median, ${at(1 - 1 / pages).toFixed(1)} at most; ${loadNow()}`,
  );
  const add = (figure: string, value: number, unit: string, limit: number, note: string) =>
    figures.add({ name: 'status', figure, value, unit, limit, note });
  add(
    'error-page-p99-ms',
    at(0.99),
    'ms',
    pageGoalMs,
    `at most: ${pages} pages of 100 of ${failed} that failed, out of ${pins}`,
  );
  add('error-page-heap', after / mib, 'MiB', before / mib, `after ${pages} pages, collected; before them`);

  const listed = await watched(peers, () => runScript<StatusesRead>('./status-client.ts', [host, 'ListPinStatuses']));
  if (listed.read.pins !== pins) throw new Error(`listed ${listed.read.pins} pins of ${pins}`);
  const plain = await runScript<StatusesRead>('./status-client.ts', [host, 'ListPins']);
  const rate = pins / listed.read.seconds;
  add(
    'list-rate',
    rate,
    'pins/s',
    pins / plain.seconds,
    `with the word of three peers each; the same pins by ListPins`,
  );
  const most = Math.max(...listed.grownBytes) / mib;
  add('list-memory', most, 'MiB', 100, 'at most: what the peer that grew most has grown by, without the mapped store');

  const asked = lines().map(({ nodeCalls }, i) => nodeCalls - (callsBefore[i] as number));
  if (asked.some((calls) => calls > 0)) throw new Error(`nodes were asked: ${asked.join(', ')} calls`);
}

async function threePeers(root: string, pins: number): Promise<StartedScript[]> {
  const folder = (number: number) => join(root, `peer-${number}`);
  const every = String(failingEvery);
  const second = await startScript('./status-peer.ts', ['2', folder(2), every]);
  const { address } = lineOf(second);
  const third = await startScript('./status-peer.ts', ['3', folder(3), every, address]);
  const first = await startScript('./status-peer.ts', ['1', folder(1), every, address, String(pins)]);
  return [first, second, third];
}

const lineOf = (peer: StartedScript) => JSON.parse(peer.last()) as StatusPeerLine;

/** Heap in use after a full collection, bytes: the least of some looks. */
async function collected(peer: StartedScript, pid: number): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5; i++) {
    process.kill(pid, 'SIGUSR2');
    await new Promise((resolve) => setTimeout(resolve, 600));
    least = Math.min(least, lineOf(peer).heap);
  }
  return least;
}

/** What it read, and by how much each peer grew meanwhile at most. */
async function watched(peers: readonly StartedScript[], work: () => Promise<StatusesRead>) {
  const before = peers.map((peer) => lineOf(peer).own);
  const most = [...before];
  const timer = setInterval(() => {
    for (const [i, peer] of peers.entries()) most[i] = Math.max(most[i] as number, lineOf(peer).own);
  }, 100);
  const read = await work();
  clearInterval(timer);
  return { read, grownBytes: most.map((bytes, i) => bytes - (before[i] as number)) };
}

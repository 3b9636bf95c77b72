import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { createInterface } from 'node:readline';
import t from 'tap';
import { type LocalPeer, until } from '../../scripts/local-cluster.ts';
import { daemons, equalDigests, inlineCid } from '../support/daemons.ts';

// Two of the members, trusted as all are, send without end ten times what the limits allow: gossip, batches that never become
// ready, Hellos with forged records, clocks of replicas that there are not, Syncs, ranges, digests. The peer they do that to
// goes on answering its clients, its memory stays bounded, and afterwards it is what the others are.

const floodMs = process.env.TEST_LONG === undefined ? 8_000 : 60_000;
/** How many want a processor at once, here with the flood and whatever else runs: an answer takes so many times as long. */
const crowd = Math.max(1, loadavg()[0] as number) / availableParallelism() + 2;
/** One call of a client while flooded. On two cores that the flood has to itself, half of them take less than 1 s, all less than 3 s. */
const answerMsMax = 5_000 * crowd;
const medianMsMax = 2_500 * crowd;
/** Pending batches (32 MiB), waiting gossip (64 MiB), streams and calls under way, and what the collector leaves for a while. */
const growthMibMax = 450;

const here = await daemons();
const [victim, other] = (await here.cluster(2)) as [LocalPeer, LocalPeer];

/** Connected when the promise resolves; `stop` answers how much of what it sent. */
async function madPeer(way: 'gossip' | 'call'): Promise<{ rave(): void; stop(): Promise<Record<string, number>> }> {
  const secret = (await readFile(here.secretFile, 'utf8')).trim();
  const args = ['test/support/mad-peer-child.ts', way, secret, victim.address as string];
  const child = spawn(process.execPath, args, {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  if ((await lines.next()).value !== 'connected') throw new Error('the mad peer did not come up');
  return {
    rave: () => child.stdin.write('\n'),
    async stop() {
      child.stdin.end();
      return JSON.parse((await lines.next()).value ?? '{}');
    },
  };
}

async function memoryMib(peer: LocalPeer): Promise<number> {
  const status = await readFile(`/proc/${peer.pid()}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

async function metric(peer: LocalPeer, name: string): Promise<number> {
  const text = await (await fetch(`http://${peer.metricsHost}/metrics`)).text();
  const values = text
    .split('\n')
    .filter((line) => line.startsWith(name))
    .map((line) => Number(line.split(' ').at(-1)));
  return values.reduce((sum, value) => sum + value, 0);
}

async function timed(call: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await call();
  return performance.now() - startMs;
}

t.test('a peer that a mad one floods answers, stays small, and goes on with the others', async (t) => {
  const { pins } = victim.clients;
  const kept = inlineCid('kept');
  await pins.pin({ cid: kept });
  const beforeMib = await memoryMib(victim);
  const mad = await Promise.all([madPeer('gossip'), madPeer('call')]);
  for (const each of mad) each.rave();
  const endMs = performance.now() + floodMs;
  const latencies: number[] = [];
  let peakMib = 0;
  let written = 1;
  let pendingMax = 0;
  while (performance.now() < endMs) {
    const options = { timeoutMs: 120_000 };
    latencies.push(await timed(() => pins.getPin({ cid: kept }, options)));
    latencies.push(await timed(() => pins.pin({ cid: inlineCid(`while flooded ${written++}`) }, options)));
    peakMib = Math.max(peakMib, await memoryMib(victim));
    pendingMax = Math.max(pendingMax, await metric(victim, 'pinfold_crdt_pending_batches'));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const sent = Object.assign({}, ...(await Promise.all(mad.map((each) => each.stop()))));
  latencies.sort((a, b) => a - b);
  const median = latencies[Math.floor(latencies.length / 2)] as number;
  t.comment(
    `${latencies.length} calls, median ${median.toFixed(0)} ms, longest ${latencies.at(-1)?.toFixed(0)} ms; ` +
      `memory ${beforeMib.toFixed(0)} to ${peakMib.toFixed(0)} MiB; at most ${pendingMax} batches pended; ` +
      `sent: ${JSON.stringify(sent)}`,
  );
  t.ok((latencies.at(-1) as number) < answerMsMax, `the longest answer took ${latencies.at(-1)} ms`);
  t.ok(median < medianMsMax, `the median answer took ${median} ms`);
  t.ok(peakMib - beforeMib < growthMibMax, `memory grew by ${peakMib - beforeMib} MiB`);
  t.ok(pendingMax > 0 && pendingMax <= 4_096, 'batches waited, no more than may');
  for (const what of ['gossip', 'hello', 'getClock', 'sync']) t.ok((sent[what] ?? 0) > 1, `it did send: ${what}`);
  t.ok((await metric(victim, 'pinfold_rpc_refused_total')) > 0, 'what is refused is counted');
  await equalDigests([victim, other], written, 120_000);
  const last = inlineCid('of the other');
  await other.clients.pins.pin({ cid: last });
  await until('what the other writes comes', async () => {
    return (await pins.getPin({ cid: last }).catch(() => undefined)) !== undefined;
  });
});

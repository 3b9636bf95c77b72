import { readFile, rm } from 'node:fs/promises';
import { join as joinPath } from 'node:path';
import { type LocalPeer, until } from '../scripts/local-cluster.ts';
import { benchPeer, startWith } from './daemon.ts';
import type { BenchContext } from './main.ts';
import { runScript, startScript } from './processes.ts';
import { cpuSecondsOf, loadNow, memoryOf } from './usage.ts';

/** IPFS Cluster 1.1.6: 1 M pins in 162 s, of which it waits 41 s for the first. */
const ipfsClusterRate = 6_200;
/** The same: what the joiner takes at most, MiB. */
const ipfsClusterPeakMib = 3_277;
const mib = 2 ** 20;
const joinWithinMs = 15 * 60_000;

interface Received {
  rows: number;
  rowBytes: number;
  seconds: number;
  cpuSeconds: number;
}

/** An empty peer takes in the pinset of one that has all pins, against the same rows over the same peer RPC into one table. */
export async function join(context: BenchContext): Promise<void> {
  const { figures, root, pins } = context;
  const raw = await runScript<{ rate: number }>('./raw-lmdb.ts', [joinPath(root, 'raw'), String(pins)]);
  await rm(joinPath(root, 'raw'), { recursive: true });
  const limit = await streamed(context);

  const first = await benchPeer(root);
  await first.start();
  await runScript('./bulk-client.ts', [first.host, '0', String(pins)]);
  const joined = await joinOf(context, first);
  const add = (figure: string, value: number, unit: string, limit: number, note: string) =>
    figures.add({ name: 'join', figure, value, unit, limit, note });
  const times = (joined.rate / ipfsClusterRate).toFixed(1);
  const inOneTable = 'same rows, same RPC, into one table';
  add(
    'join',
    joined.rate,
    'pins/s',
    limit.rate,
    `${inOneTable}; raw LMDB ${Math.round(raw.rate)}/s; ${times} x IPFS Cluster`,
  );
  add('wire', joined.bytes / pins, 'B/pin', limit.rowBytes / pins, 'the rows as they are stored');
  add(
    'peak-memory',
    joined.peakMib,
    'MiB',
    ipfsClusterPeakMib,
    `IPFS Cluster; without the mapped store; source ${Math.round(joined.sourcePeakMib)}`,
  );
}

async function streamed({ figures, root, pins }: BenchContext): Promise<{ rate: number; rowBytes: number }> {
  const source = await startScript('./range-source.ts', [String(pins)]);
  const cpu = source.cpuSeconds();
  const folder = joinPath(root, 'limit');
  const got = await runScript<Received>('./range-sink.ts', [source.line, folder]);
  if (got.rows !== pins) throw new Error(`${got.rows} rows came of ${pins}`);
  const cores = (seconds: number) => (seconds / got.seconds).toFixed(2);
  figures.progress(
    `  limit ${Math.round(pins / got.seconds)}/s; cores: source ${cores(source.cpuSeconds() - cpu)}, sink ${cores(got.cpuSeconds)}; ${loadNow()}`,
  );
  await source.stop();
  await rm(folder, { recursive: true });
  return { rate: pins / got.seconds, rowBytes: got.rowBytes };
}

interface Joined {
  rate: number;
  /** What the joiner received. */
  bytes: number;
  peakMib: number;
  sourcePeakMib: number;
}

/** From when the empty peer serves until it takes writes and has the same pins. */
async function joinOf({ figures, root, pins }: BenchContext, source: LocalPeer): Promise<Joined> {
  const peer = await benchPeer(root);
  const { digest } = await source.clients.cluster.getCluster({});
  const sourceCpu = cpuSecondsOf(source.pid());
  const bytesFile = joinPath(root, 'received.txt');
  await startWith(peer, './bytes-at-exit.ts', { bootstrap: [source.address] }, { BYTES_FILE: bytesFile });
  const began = performance.now();
  let peak = 0;
  let sourcePeak = 0;
  await until(
    'the empty peer has all pins',
    async () => {
      peak = Math.max(peak, memoryOf(peer.pid()).own);
      sourcePeak = Math.max(sourcePeak, memoryOf(source.pid()).own);
      const cluster = await peer.clients.cluster.getCluster({});
      return Number(cluster.pins) === pins && Buffer.compare(cluster.digest, digest) === 0;
    },
    joinWithinMs,
  );
  const seconds = (performance.now() - began) / 1000;
  const cores = (used: number) => (used / seconds).toFixed(2);
  figures.progress(
    `  Pinfold ${Math.round(pins / seconds)}/s; cores: source ${cores(cpuSecondsOf(source.pid()) - sourceCpu)}, joining ${cores(cpuSecondsOf(peer.pid()))}; ${loadNow()}`,
  );
  await peer.kill('SIGTERM');
  const bytes = Number(await readFile(bytesFile, 'utf8'));
  return { rate: pins / seconds, bytes, peakMib: peak / mib, sourcePeakMib: sourcePeak / mib };
}

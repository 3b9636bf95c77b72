import { rm } from 'node:fs/promises';
import { join as joinPath } from 'node:path';
import { until } from './bench-core.ts';
import { type CorePeer, settled, startCorePeer } from './core-peers.ts';
import type { BenchContext } from './main.ts';
import { runScript, startScript } from './processes.ts';
import { loadNow } from './usage.ts';

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

  const source = await startCorePeer({ root, number: 1 });
  await runScript('./bulk-client.ts', [source.now().host, '0', String(pins)]);
  await settled([source], pins);
  const joined = await joinOf(context, source);
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

/** From when the empty peer is there until it has the same pins, live. */
async function joinOf({ figures, root, pins }: BenchContext, source: CorePeer): Promise<Joined> {
  const { address, digest } = source.now();
  const sourceCpu = source.cpuSeconds();
  const joiner = await startCorePeer({ root, number: 2, bootstrap: address });
  const began = performance.now();
  let peak = 0;
  let sourcePeak = 0;
  await until(() => {
    const now = joiner.now();
    peak = Math.max(peak, now.own);
    sourcePeak = Math.max(sourcePeak, source.now().own);
    return now.pins === pins && now.digest === digest;
  }, joinWithinMs);
  const seconds = (performance.now() - began) / 1000;
  const cores = (used: number) => (used / seconds).toFixed(2);
  figures.progress(
    `  Pinfold ${Math.round(pins / seconds)}/s; cores: source ${cores(source.cpuSeconds() - sourceCpu)}, joining ${cores(joiner.cpuSeconds())}; ${loadNow()}`,
  );
  const { received } = joiner.now();
  await joiner.stop();
  await source.stop();
  return { rate: pins / seconds, bytes: received, peakMib: peak / mib, sourcePeakMib: sourcePeak / mib };
}

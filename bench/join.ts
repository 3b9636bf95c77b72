import { rm } from 'node:fs/promises';
import { join as joinPath } from 'node:path';
import { type LocalPeer, until } from '../scripts/local-cluster.ts';
import { benchPeer } from './daemon.ts';
import type { BenchContext } from './main.ts';
import { runScript, startScript } from './processes.ts';
import { cpuSecondsOf, loadNow } from './usage.ts';

/** IPFS Cluster 1.1.6: 1 M pins in 162 s, of which it waits 41 s for the first. */
const ipfsClusterRate = 6_200;
const joinWithinMs = 15 * 60_000;

interface Received {
  rows: number;
  seconds: number;
  cpuSeconds: number;
}

/** An empty peer takes in the pinset of one that has all pins, against the same rows over the same peer RPC into one table. */
export async function join(context: BenchContext): Promise<void> {
  const { figures, root, pins } = context;
  const raw = await runScript<{ rate: number }>('./raw-lmdb.ts', [joinPath(root, 'raw'), String(pins)]);
  await rm(joinPath(root, 'raw'), { recursive: true });
  const limit = await streamRate(context);

  const first = await benchPeer(root);
  await first.start();
  await runScript('./bulk-client.ts', [first.host, '0', String(pins)]);
  const rate = await joinRate(context, first);
  figures.add({
    name: 'join',
    figure: 'join',
    value: rate,
    unit: 'pins/s',
    limit,
    note: `same rows, same RPC, into one table; raw LMDB ${Math.round(raw.rate)}/s; ${(rate / ipfsClusterRate).toFixed(1)} x IPFS Cluster`,
  });
}

async function streamRate({ figures, root, pins }: BenchContext): Promise<number> {
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
  return pins / got.seconds;
}

/** From when the empty peer serves until it takes writes and has the same pins. */
async function joinRate({ figures, root, pins }: BenchContext, source: LocalPeer): Promise<number> {
  const peer = await benchPeer(root);
  const { digest } = await source.clients.cluster.getCluster({});
  const sourceCpu = cpuSecondsOf(source.pid());
  await peer.start({ bootstrap: [source.address] });
  const began = performance.now();
  await until(
    'the empty peer has all pins',
    async () => {
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
  return pins / seconds;
}

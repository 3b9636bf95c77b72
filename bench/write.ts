import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { benchPeer } from './daemon.ts';
import type { BenchContext } from './main.ts';
import { runScript, startScript } from './processes.ts';
import { type StoreBytes, storeBytes } from './store-bytes.ts';
import { cpuSecondsOf, loadNow } from './usage.ts';

/** IPFS Cluster 1.1.6 on a machine of two cores: committed in memory, batching 2000 / 5 s; and with 64 callers, unbatched. */
const ipfsClusterBulk = 4_200;
const ipfsClusterUnary = 2_100;

/** What a client process prints of itself. */
interface Sent {
  operations: number;
  seconds: number;
  cpuSeconds: number;
}

const rate = ({ operations, seconds }: Sent): number => operations / seconds;

/** WritePins acknowledged DURABLE through a real socket, against a handler that does one LMDB put a pin. */
export async function write(context: BenchContext): Promise<void> {
  const { figures, root, pins } = context;
  const raw = await runScript<{ rate: number }>('./raw-lmdb.ts', [join(root, 'raw'), String(pins)]);
  figures.progress(`  raw LMDB, one put a pin: ${Math.round(raw.rate)}/s; ${loadNow()}`);
  await rm(join(root, 'raw'), { recursive: true });
  const limit = await putRate(context);

  const peer = await benchPeer(root);
  await peer.start();
  const bulk = await bulkRate(context, peer);
  figures.add({
    name: 'write',
    figure: 'bulk',
    value: bulk,
    unit: 'pins/s',
    limit,
    note: `one put a pin, same server; raw LMDB ${Math.round(raw.rate)}/s; ${(bulk / ipfsClusterBulk).toFixed(1)} x IPFS Cluster`,
  });

  const unary = Math.min(20_000, pins);
  const one = await runScript<Sent>('./unary-client.ts', [peer.host, String(pins), String(unary), '64']);
  figures.add({
    name: 'write',
    figure: 'unary',
    value: rate(one),
    unit: 'pins/s',
    limit: ipfsClusterUnary,
    note: 'IPFS Cluster, 64 callers as here (another machine of this size)',
  });
  await peer.kill('SIGTERM');

  figures.progress('  bytes on disk, with all pinned by a node that answers at once');
  const bytes = await storeBytes(join(peer.folder, 'store'), peer.peerId, pins + unary);
  addBytes(context, bytes);
}

async function putRate({ figures, root, pins }: BenchContext): Promise<number> {
  const folder = join(root, 'limit');
  const server = await startScript('./put-server.ts', [folder]);
  const cpu = server.cpuSeconds();
  const sent = await runScript<Sent>('./bulk-client.ts', [`127.0.0.1:${server.line}`, '0', String(pins)]);
  figures.progress(`  limit ${explain(sent, server.cpuSeconds() - cpu)}`);
  await server.stop();
  await rm(folder, { recursive: true });
  return rate(sent);
}

async function bulkRate({ figures, pins }: BenchContext, peer: Awaited<ReturnType<typeof benchPeer>>): Promise<number> {
  const cpu = cpuSecondsOf(peer.pid());
  const sent = await runScript<Sent>('./bulk-client.ts', [peer.host, '0', String(pins)]);
  figures.progress(`  Pinfold ${explain(sent, cpuSecondsOf(peer.pid()) - cpu)}`);
  return rate(sent);
}

/** Cores in use tell whether the client, or the machine, was what limited. */
function explain(sent: Sent, serverSeconds: number): string {
  const cores = (seconds: number) => (seconds / sent.seconds).toFixed(2);
  return `${Math.round(rate(sent))}/s; cores: server ${cores(serverSeconds)}, client ${cores(sent.cpuSeconds)}; ${loadNow()}`;
}

function addBytes({ figures }: BenchContext, bytes: StoreBytes): void {
  const sizes = [
    ['pins-bytes', bytes.pins, 320, 'bytes/pin', 'rows and indexes'],
    ['status-bytes', bytes.status, 90, 'bytes/pin', 'status index, all pinned'],
    ['log-bytes', bytes.log, 130, 'bytes/op', 'log'],
  ] as const;
  for (const [figure, value, limit, unit, what] of sizes) {
    figures.add({ name: 'write', figure, value, unit, limit, note: `at most, ${what}` });
  }
  figures.progress(`  the tracker brought ${Math.round(bytes.pinnedRate)} pins/s to pinned`);
}

import { benchPeer, metricsOf } from './daemon.ts';
import type { BenchContext } from './main.ts';
import { runScript } from './processes.ts';

/** IPFS Cluster 1.1.6: 1 M pins in 11 s. */
const ipfsClusterRate = 1_000_000 / 11;

/** The pinset through gRPC: rate, first page, and what it costs the daemon in memory. */
export async function list({ figures, root, pins }: BenchContext): Promise<void> {
  const peer = await benchPeer(root);
  await peer.start();
  await runScript('./bulk-client.ts', [peer.host, '0', String(pins)]);
  const before = await residentBytes(peer);
  let peak = before;
  const watching = setInterval(async () => {
    peak = Math.max(peak, await residentBytes(peer));
  }, 200);

  const began = performance.now();
  let firstMs = 0;
  let listed = 0;
  for await (const page of peer.clients.pins.listPins({})) {
    if (listed === 0) firstMs = performance.now() - began;
    listed += page.pins.length;
  }
  const seconds = (performance.now() - began) / 1000;
  clearInterval(watching);
  if (listed !== pins) throw new Error(`listed ${listed} pins of ${pins}`);
  figures.add({
    name: 'list',
    figure: 'rate',
    value: listed / seconds,
    unit: 'pins/s',
    limit: ipfsClusterRate,
    note: 'IPFS Cluster (another machine of this size)',
  });
  figures.add({ name: 'list', figure: 'first-page', value: firstMs, unit: 'ms', note: 'IPFS Cluster: 4 ms' });
  figures.add({
    name: 'list',
    figure: 'memory-growth',
    value: (peak - before) / 2 ** 20,
    unit: 'MiB',
    note: 'resident, while listing',
  });
  await peer.kill('SIGTERM');
}

async function residentBytes(peer: Parameters<typeof metricsOf>[0]): Promise<number> {
  return (await metricsOf(peer)).get('process_resident_memory_bytes') ?? 0;
}

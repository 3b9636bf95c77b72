import { benchPeer } from './daemon.ts';
import type { BenchContext } from './main.ts';
import { runScript } from './processes.ts';
import { cpuSecondsOf, loadNow, memoryOf } from './usage.ts';

/** IPFS Cluster 1.1.6: 1 M pins in 11 s. */
const ipfsClusterRate = 1_000_000 / 11;
const mib = 2 ** 20;

interface Listed {
  pins: number;
  seconds: number;
  firstMs: number;
  bytes: number;
  cpuSeconds: number;
}

/** The pinset through gRPC: rate, first page, and what it costs the daemon in memory. */
export async function list({ figures, root, pins }: BenchContext): Promise<void> {
  const peer = await benchPeer(root);
  await peer.start();
  await runScript('./bulk-client.ts', [peer.host, '0', String(pins)]);
  const before = memoryOf(peer.pid());
  const peak = { ...before };
  const watching = setInterval(() => {
    const now = memoryOf(peer.pid());
    peak.resident = Math.max(peak.resident, now.resident);
    peak.own = Math.max(peak.own, now.own);
  }, 20);
  const cpu = cpuSecondsOf(peer.pid());
  const listed = await runScript<Listed>('./list-client.ts', [peer.host]);
  clearInterval(watching);
  if (listed.pins !== pins) throw new Error(`listed ${listed.pins} pins of ${pins}`);
  const cores = (seconds: number) => (seconds / listed.seconds).toFixed(2);
  figures.progress(
    `  ${Math.round(listed.bytes / mib)} MiB; cores: server ${cores(cpuSecondsOf(peer.pid()) - cpu)}, client ${cores(listed.cpuSeconds)}; ${loadNow()}`,
  );

  const note = 'IPFS Cluster (another machine of this size)';
  figures.add({
    name: 'list',
    figure: 'rate',
    value: listed.pins / listed.seconds,
    unit: 'pins/s',
    limit: ipfsClusterRate,
    note,
  });
  figures.add({
    name: 'list',
    figure: 'first-page',
    value: listed.firstMs,
    unit: 'ms',
    limit: 4,
    note: `at most, ${note}`,
  });
  figures.add({
    name: 'list',
    figure: 'peak-memory',
    value: peak.own / mib,
    unit: 'MiB',
    limit: 600,
    note: `at most, ${note}; before: ${Math.round(before.own / mib)}; with the mapped store: ${Math.round(peak.resident / mib)}`,
  });
  await peer.kill('SIGTERM');
}

import { benchPeer, metricsOf } from './daemon.ts';
import type { BenchContext } from './main.ts';
import { runScript } from './processes.ts';

/** Heap and resident size at 10 k and at all pins: the heap must not grow with the pinset. */
export async function memory({ figures, root, pins }: BenchContext): Promise<void> {
  const peer = await benchPeer(root);
  await peer.start();
  const few = Math.min(10_000, pins);
  await runScript('./bulk-client.ts', [peer.host, '0', String(few)]);
  const atFew = await settled(peer);
  await runScript('./bulk-client.ts', [peer.host, String(few), String(pins - few)]);
  const atAll = await settled(peer);
  figures.add({
    name: 'memory',
    figure: 'heap',
    value: atAll.heap,
    unit: 'MiB',
    limit: atFew.heap,
    note: `heap at ${few} pins`,
  });
  figures.add({
    name: 'memory',
    figure: 'resident',
    value: atAll.resident,
    unit: 'MiB',
    limit: atFew.resident,
    note: `resident at ${few} pins (the store is mapped: its pages count, and can be given back)`,
  });
  await peer.kill('SIGTERM');
}

/** The least of some looks: a heap is as large as it is just after a collection. */
async function settled(peer: Parameters<typeof metricsOf>[0]): Promise<{ heap: number; resident: number }> {
  let heap = Number.POSITIVE_INFINITY;
  let resident = 0;
  for (let i = 0; i < 40; i++) {
    const metrics = await metricsOf(peer);
    heap = Math.min(heap, metrics.get('nodejs_heap_size_used_bytes') ?? Number.POSITIVE_INFINITY);
    resident = metrics.get('process_resident_memory_bytes') ?? 0;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  return { heap: heap / 2 ** 20, resident: resident / 2 ** 20 };
}

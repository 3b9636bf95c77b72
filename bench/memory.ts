import type { LocalPeer } from '../scripts/local-cluster.ts';
import { benchPeer, metricsOf, startWith } from './daemon.ts';
import type { BenchContext } from './main.ts';
import { runScript } from './processes.ts';
import { memoryOf } from './usage.ts';

const mib = 2 ** 20;

/** Heap and resident size at 10 k and at all pins: the heap must not grow with the pinset. */
export async function memory({ figures, root, pins }: BenchContext): Promise<void> {
  const peer = await benchPeer(root);
  await startWith(peer, './collect-on-signal.ts');
  const few = Math.min(10_000, pins / 2);
  await runScript('./bulk-client.ts', [peer.host, '0', String(few)]);
  const atFew = await settled(peer);
  await runScript('./bulk-client.ts', [peer.host, String(few), String(pins - few)]);
  const atAll = await settled(peer);
  const figure = (figure: 'heap' | 'own' | 'resident', note: string) =>
    figures.add({
      name: 'memory',
      figure,
      value: atAll[figure] / mib,
      unit: 'MiB',
      limit: atFew[figure] / mib,
      note: `at ${few} pins${note}`,
    });
  figure('heap', ', in use after a collection');
  figure('own', ', resident without the mapped store');
  figure('resident', ', with the mapped store: its pages can be given back at any time');
  await peer.kill('SIGTERM');
}

const looks = 5;
const betweenLooksMs = 1_000;

/** The least of some looks, each after a full collection. */
async function settled(peer: LocalPeer): Promise<{ heap: number; own: number; resident: number }> {
  let heap = Number.POSITIVE_INFINITY;
  for (let i = 0; i < looks; i++) {
    process.kill(peer.pid() as number, 'SIGUSR2');
    await new Promise((resolve) => setTimeout(resolve, betweenLooksMs));
    heap = Math.min(heap, (await metricsOf(peer)).get('nodejs_heap_size_used_bytes') ?? heap);
  }
  return { heap, ...memoryOf(peer.pid()) };
}

import { benchPeer } from './daemon.ts';
import type { BenchContext } from './main.ts';
import { runScript } from './processes.ts';

/** Changes a second that 1, 10 and 100 watchers get, all together, while pins are written in bulk. */
export async function watch({ figures, root, pins }: BenchContext): Promise<void> {
  const peer = await benchPeer(root);
  await peer.start();
  let from = 0;
  for (const watchers of [1, 10, 100]) {
    const count = Math.max(1_000, Math.floor(Math.min(pins, 200_000) / watchers));
    const stop = new AbortController();
    const began = performance.now();
    const watching = Array.from({ length: watchers }, () => receive(peer, from + count, stop.signal));
    await runScript('./bulk-client.ts', [peer.host, String(from), String(count)]);
    await Promise.all(watching);
    const seconds = (performance.now() - began) / 1000;
    stop.abort();
    figures.add({
      name: 'watch',
      figure: `watchers-${watchers}`,
      value: (count * watchers) / seconds,
      unit: 'changes/s',
      note: `${count} pins written, each to ${watchers}`,
    });
    from += count;
  }
  await peer.kill('SIGTERM');
}

/** Resolves when so many pins have been seen: what there was, and each change. */
async function receive(peer: Awaited<ReturnType<typeof benchPeer>>, pins: number, signal: AbortSignal): Promise<void> {
  let seen = 0;
  for await (const { events } of peer.clients.pins.watchPins({ pinsOnly: true }, { signal })) {
    for (const { event } of events) if (event.case === 'pinned') seen++;
    if (seen >= pins) return;
  }
}

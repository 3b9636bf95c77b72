import { benchPeer } from './daemon.ts';
import type { BenchContext } from './main.ts';
import { runScript, startScript } from './processes.ts';
import { cpuSecondsOf, loadNow } from './usage.ts';

/** Changes a second that 1, 10 and 100 watchers get, all together, while pins are written in bulk. */
export async function watch({ figures, root, pins }: BenchContext): Promise<void> {
  const peer = await benchPeer(root);
  await peer.start();
  let from = 0;
  for (const watchers of [1, 10, 100]) {
    const count = Math.max(2_000, Math.floor(Math.min(pins, 200_000) / watchers));
    const client = await startScript('./watch-client.ts', [peer.host, String(watchers), String(count)]);
    const cpu = cpuSecondsOf(peer.pid());
    const began = performance.now();
    const writing = runScript<{ seconds: number }>('./bulk-client.ts', [peer.host, String(from), String(count)]);
    const encodedMs = writing.then(({ seconds }) => performance.now() - began - seconds * 1000);
    await Promise.all([writing, client.ended]);
    // From the first operation sent: the client takes some time before to begin and to encode.
    const seconds = (performance.now() - began - (await encodedMs)) / 1000;
    const cores = (used: number) => (used / seconds).toFixed(2);
    const { cpuSeconds } = JSON.parse(client.last()) as { cpuSeconds: number };
    figures.progress(
      `  ${watchers} watchers, cores: server ${cores(cpuSecondsOf(peer.pid()) - cpu)}, client ${cores(cpuSeconds)}; ${loadNow()}`,
    );
    figures.add({
      name: 'watch',
      figure: `watchers-${watchers}`,
      value: (count * watchers) / seconds,
      unit: 'changes/s',
      note: `${count} pins written, each told to ${watchers}`,
    });
    from += count;
  }
  await peer.kill('SIGTERM');
}

import { join } from 'node:path';
import { type BenchCore, pinAt, rootOf, startBenchCore, until } from './bench-core.ts';
import type { BenchContext } from './main.ts';
import { SocketBytes } from './socket-bytes.ts';

const differences = 1_000;
/** What catching up is held against: bytes and seconds. */
const goalKb = 300;
const goalS = 1;

/** A peer was away while another wrote: bytes on the wire and time from their connection until both have the same. */
export async function catchUp({ figures, root, pins }: BenchContext): Promise<void> {
  const bytes = new SocketBytes();
  const a = await start(root, 1, []);
  await pinAt(a, 0, pins, 5_000);
  figures.progress(`catch-up: ${pins} pins written`);
  const b = await start(root, 2, a.addresses());
  await until(() => rootOf(b) === rootOf(a) && b.consensus.status().phase === 'ready');
  figures.progress('catch-up: the other has joined');
  await b.stop();
  let next = pins;
  for (const [way, perCall] of [
    ['in bulk', differences],
    ['one by one', 1],
  ] as const) {
    await pinAt(a, next, differences, perCall);
    next += differences;
    await measure(figures, way, { a, root, pins, bytes });
  }
  await a.stop();
}

const start = (root: string, n: number, bootstrap: readonly string[]) =>
  startBenchCore({
    seed: new Uint8Array(32).fill(n),
    folder: join(root, `peer-${n}`),
    hub: undefined,
    bootstrap,
    antiEntropyIntervalMs: 10_000,
  });

async function measure(
  figures: BenchContext['figures'],
  way: string,
  { a, root, pins, bytes }: { a: BenchCore; root: string; pins: number; bytes: SocketBytes },
): Promise<void> {
  let connectedMs = 0;
  const stopListening = a.network.onConnection((_, up) => {
    if (up && connectedMs === 0) connectedMs = performance.now();
  });
  const before = bytes.received;
  const b = await start(root, 2, a.addresses());
  await until(() => rootOf(b) === rootOf(a));
  const seconds = (performance.now() - connectedMs) / 1_000;
  const kb = (bytes.received - before) / 1_000;
  stopListening();
  await b.stop();
  const note = `${differences} differences out of ${pins}, written ${way}; the goal`;
  figures.add({ name: 'catch-up', figure: 'wire', value: kb, unit: 'kB', limit: goalKb, note });
  figures.add({ name: 'catch-up', figure: 'time', value: seconds, unit: 's', limit: goalS, note });
}

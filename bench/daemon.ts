import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type LocalPeer, localPeer } from '../scripts/local-cluster.ts';
import { endsWithBench } from './processes.ts';

const secret = randomBytes(32).toString('hex');
let made = 0;

/** A daemon with the defaults, on this machine; it ends with the benchmarks. All of one run share a secret. */
export async function benchPeer(root: string, flags: readonly string[] = []): Promise<LocalPeer> {
  const secretFile = join(root, 'secret.txt');
  await writeFile(secretFile, secret, { mode: 0o600 });
  const peer = await localPeer({ root, name: `peer-${++made}`, secretFile, flags });
  endsWithBench(() => peer.kill('SIGKILL'));
  return peer;
}

/** Metrics of the daemon by name, without labels. */
export async function metricsOf(peer: LocalPeer): Promise<Map<string, number>> {
  const text = await (await fetch(`http://${peer.metricsHost}/metrics`)).text();
  const values = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [name, value] = line.split(' ');
    if (name && !name.startsWith('#') && !name.includes('{')) values.set(name, Number(value));
  }
  return values;
}

/** Starts it with a script of this folder loaded first. */
export async function startWith(peer: LocalPeer, script: string): Promise<void> {
  process.env.NODE_OPTIONS = `--import ${new URL(script, import.meta.url)}`;
  await peer.start();
  delete process.env.NODE_OPTIONS;
}

import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type LocalPeer, localPeer } from '../scripts/local-cluster.ts';

let made = 0;

/** A daemon with the defaults, on this machine. All of one run share a secret. */
export async function benchPeer(root: string, flags: readonly string[] = []): Promise<LocalPeer> {
  const secretFile = join(root, 'secret.txt');
  if (made++ === 0) benchSecret = randomBytes(32).toString('hex');
  await writeFile(secretFile, benchSecret, { mode: 0o600 });
  return localPeer({ root, name: `peer-${made}`, secretFile, flags });
}

let benchSecret = '';

/** Gauges of the daemon's metrics by name, without labels. */
export async function metricsOf(peer: LocalPeer): Promise<Map<string, number>> {
  const text = await (await fetch(`http://${peer.metricsHost}/metrics`)).text();
  const values = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [name, value] = line.split(' ');
    if (name && !name.startsWith('#') && !name.includes('{')) values.set(name, Number(value));
  }
  return values;
}

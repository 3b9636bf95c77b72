import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type LocalPeer, until } from '../../scripts/local-cluster.ts';
import { writeAll } from './bulk.ts';
import { acquainted, type Daemons, inlineCid, refusal } from './daemons.ts';

/** Two peers that know each other; the second was started with the first as its bootstrap. */
export async function pair(here: Daemons, name: string): Promise<[LocalPeer, LocalPeer]> {
  const [one, other] = [await here.make(`${name}-1`), await here.make(`${name}-2`)];
  await one.start();
  await other.start({ bootstrap: [one.address] });
  await acquainted([one, other]);
  return [one, other];
}

/** So many pins, once the peer takes writes. */
export async function writePins(peer: LocalPeer, label: string, count = 30): Promise<number> {
  const first = { cid: inlineCid(`${label} 0`) };
  await until(`${peer.name} takes writes`, async () => (await refusal(peer.clients.pins.pin(first))) === 'OK');
  const operations = Array.from({ length: count }, (_, i) => ({
    operation: { case: 'pin' as const, value: { cid: inlineCid(`${label} ${i}`) } },
  }));
  await writeAll(peer, operations);
  return count;
}

export async function alertsOf(peer: LocalPeer): Promise<string[]> {
  const { alerts } = await peer.clients.cluster.getCluster({});
  return alerts.map(({ kind }) => kind);
}

export function raised(peer: LocalPeer, kind: string): Promise<void> {
  return until(`${kind} is raised at ${peer.name}`, async () => (await alertsOf(peer)).includes(kind), 60_000);
}

export function cleared(peer: LocalPeer, kind: string): Promise<void> {
  return until(`${kind} is cleared at ${peer.name}`, async () => !(await alertsOf(peer)).includes(kind), 150_000);
}

export async function killAll(...peers: LocalPeer[]): Promise<void> {
  await Promise.all(peers.map((peer) => peer.kill('SIGKILL')));
}

/** Stops it in order and copies its store as it is then. */
export async function backedUp(peer: LocalPeer): Promise<string> {
  await peer.kill('SIGTERM');
  const backup = `${peer.folder}.backup`;
  await rm(backup, { recursive: true, force: true });
  await cp(join(peer.folder, 'store'), backup, { recursive: true });
  return backup;
}

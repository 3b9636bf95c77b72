import { join } from 'node:path';
import { until } from './bench-core.ts';
import type { CorePeerLine } from './core-peer.ts';
import { type StartedScript, startScript } from './processes.ts';

export interface CorePeerInit {
  root: string;
  /** Of its key and folder. */
  number: number;
  /** One in so many pins fails. Default: none. */
  failingEvery?: number;
  /** What peers say to each other, by kind: costs them something. Default: nothing. */
  counted?: 'traffic' | 'nothing';
  /** The address of another. */
  bootstrap?: string;
  /** It waits for two others, and pins so many on all three. */
  pins?: number;
}

export type CorePeer = Omit<StartedScript, 'line' | 'last'> & {
  /** What it said last, at most a quarter of a second ago. */
  now(): CorePeerLine;
};

/** A peer in a process of its own, with the gRPC door, beside a node that takes no time. */
export async function startCorePeer({
  root,
  number,
  failingEvery = Number.MAX_SAFE_INTEGER,
  counted = 'nothing',
  bootstrap = '',
  pins = 0,
}: CorePeerInit): Promise<CorePeer> {
  const args = [number, join(root, `peer-${number}`), failingEvery, counted, bootstrap, pins].map(String);
  const { last, ...script } = await startScript('./core-peer.ts', args);
  return { ...script, now: () => JSON.parse(last()) as CorePeerLine };
}

/** Three that all track all pins, when all of that is done and they are at rest. The first is the one to ask. */
export async function threePeers(
  init: Pick<CorePeerInit, 'root' | 'failingEvery' | 'counted'> & { pins: number },
): Promise<[CorePeer, CorePeer, CorePeer]> {
  const { pins, ...common } = init;
  const second = await startCorePeer({ ...common, number: 2 });
  const { address } = second.now();
  const third = await startCorePeer({ ...common, number: 3, bootstrap: address });
  const first = await startCorePeer({ ...common, number: 1, bootstrap: address, pins });
  const peers: [CorePeer, CorePeer, CorePeer] = [first, second, third];
  await settled(peers, pins);
  return peers;
}

/** Each has done what it can for so many pins, and is at rest. */
export async function settled(peers: readonly CorePeer[], pins: number): Promise<void> {
  await until(() => peers.every((peer) => isDone(peer.now(), pins)), 1_800_000);
  await rest(peers);
}

const isDone = ({ pinned, failed }: CorePeerLine, pins: number) => pinned + failed === pins;

/** Less of a processor is rest; looked at so long. */
const restingShare = 0.1;
const lookMs = 3_000;

/** After many writes all pins are looked at once more, whether they lie where they should. */
async function rest(peers: readonly CorePeer[]): Promise<void> {
  let isResting = false;
  while (!isResting) {
    const before = peers.map((peer) => peer.cpuSeconds());
    await new Promise((resolve) => setTimeout(resolve, lookMs));
    const most = Math.max(...peers.map((peer, i) => peer.cpuSeconds() - (before[i] as number)));
    isResting = most < restingShare * (lookMs / 1_000);
  }
}

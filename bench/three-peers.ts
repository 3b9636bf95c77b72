import { join } from 'node:path';
import { until } from './bench-core.ts';
import { type StartedScript, startScript } from './processes.ts';
import type { StatusPeerLine } from './status-peer.ts';

export interface ThreePeersInit {
  root: string;
  pins: number;
  /** One in so many pins fails, on all peers. */
  failingEvery: number;
  /** What peers say to each other, by kind: costs them something. */
  counted: 'traffic' | 'nothing';
}

export type BenchPeer = Omit<StartedScript, 'line' | 'last'> & {
  /** What it said last, at most a quarter of a second ago. */
  now(): StatusPeerLine;
};

/** Three peers in processes of their own, that all track all pins, when all of that is done and they are at rest. The first is the one to ask. */
export async function threePeers({
  root,
  pins,
  failingEvery,
  counted,
}: ThreePeersInit): Promise<[BenchPeer, BenchPeer, BenchPeer]> {
  const start = async (number: number, more: readonly string[]): Promise<BenchPeer> => {
    const args = [String(number), join(root, `peer-${number}`), String(failingEvery), counted, ...more];
    const { last, ...script } = await startScript('./status-peer.ts', args);
    return { ...script, now: () => JSON.parse(last()) as StatusPeerLine };
  };
  const second = await start(2, []);
  const { address } = second.now();
  const third = await start(3, [address]);
  const first = await start(1, [address, String(pins)]);
  const peers: [BenchPeer, BenchPeer, BenchPeer] = [first, second, third];
  await until(() => peers.every((peer) => isDone(peer.now(), pins)), 1_800_000);
  await rest(peers);
  return peers;
}

const isDone = ({ pinned, failed }: StatusPeerLine, pins: number) => pinned + failed === pins;

/** Less of a processor is rest; looked at so long. */
const restingShare = 0.1;
const lookMs = 3_000;

/** After many writes all pins are looked at once more, whether they lie where they should. */
async function rest(peers: readonly BenchPeer[]): Promise<void> {
  let isResting = false;
  while (!isResting) {
    const before = peers.map((peer) => peer.cpuSeconds());
    await new Promise((resolve) => setTimeout(resolve, lookMs));
    const most = Math.max(...peers.map((peer, i) => peer.cpuSeconds() - (before[i] as number)));
    isResting = most < restingShare * (lookMs / 1_000);
  }
}

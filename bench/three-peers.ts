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

/** Three peers in processes of their own, that all track all pins, when all of that is done. The first is the one to ask. */
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
  await until(() => [first, second, third].every((peer) => isDone(peer.now(), pins)), 1_800_000);
  return [first, second, third];
}

const isDone = ({ pinned, failed }: StatusPeerLine, pins: number) => pinned + failed === pins;

import type { AllocatablePeer } from '../src/allocator/allocator.ts';
import { balanced } from '../src/allocator/balanced.ts';
import { allocatorOptions } from '../src/allocator/options.ts';
import { defaultsOf } from '../src/config/option.ts';
import type { PinKey } from '../src/model/pin.ts';
import { pinKey } from '../src/model/pin-key.ts';
import type { BenchContext } from './main.ts';
import { sampleCid } from './sample-pins.ts';

const goalPerSecond = 100_000;
const peersCount = 24;
const regions = ['eu', 'us', 'ap'];
const replicas = 3;

/** How fast new pins are placed on the peers of a cluster, and how evenly. */
export async function allocator({ figures, pins }: BenchContext): Promise<void> {
  const peers = Array.from({ length: peersCount }, (_, i) => peerOf(i));
  const place = balanced(defaultsOf(allocatorOptions)).over(peers);
  const counts = new Map(peers.map(({ peerId }) => [peerId, 0]));
  const key = pinKey(sampleCid(0), 'default');
  const pin = { key, replicationMin: replicas, replicationMax: replicas, current: [], userAllocations: [] };
  const startedMs = performance.now();
  for (let i = 0; i < pins; i++) {
    setHash(key, i);
    for (const peerId of place(pin)) counts.set(peerId, (counts.get(peerId) ?? 0) + 1);
  }
  const seconds = (performance.now() - startedMs) / 1_000;
  const on = `${pins} pins, ${replicas} replicas each, on ${peersCount} peers in ${regions.length} regions`;
  figures.add({
    ...{ name: 'allocator', figure: 'pins-per-second', unit: 'pins/s', note: `${on}; the goal` },
    ...{ value: pins / seconds, limit: goalPerSecond },
  });
  // Peers of equal space: each is to have the same number.
  figures.add({
    ...{ name: 'allocator', figure: 'most', unit: 'pins', note: 'at the peer that has most; an even share' },
    ...{ value: Math.max(...counts.values()), limit: (pins * replicas) / peersCount },
  });
}

function peerOf(i: number): AllocatablePeer {
  const region = regions[i % regions.length] as string;
  const metrics = new Map<string, string | number>([
    ['tag:region', region],
    ['pinqueue', i],
    ['freespace', 2 ** 40],
  ]);
  return { peerId: `peer ${i}`, standing: 'takes', reason: undefined, metrics };
}

/** Another pin, without the time that hashing a CID takes. */
function setHash(key: PinKey, i: number): void {
  const mixed = Math.imul(i + 1, 0x9e3779b1);
  for (let at = 0; at < 4; at++) {
    key[at] = mixed >>> (8 * at);
    key[4 + at] = i >>> (8 * at);
  }
}

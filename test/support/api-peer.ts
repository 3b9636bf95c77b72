import type { Place } from '../../src/allocator/allocator.ts';
import { balanced } from '../../src/allocator/balanced.ts';
import { allocatorOptions } from '../../src/allocator/options.ts';
import { pinWrites } from '../../src/api/services/pin-writes.ts';
import { writePins } from '../../src/api/services/write-pins.ts';
import { type Levels, levels } from '../../src/cluster/levels.ts';
import { type Pins, type PinsInit, pins } from '../../src/cluster/pins.ts';
import type { Resolving } from '../../src/cluster/resolving.ts';
import { defaultsOf } from '../../src/config/option.ts';
import type { CallContext } from '../../src/model/call-context.ts';
import { PinfoldError } from '../../src/model/errors.ts';
import type { Member } from '../../src/monitor/monitor.ts';
import { sleep, systemClock, type Timers } from '../../src/runtime/clock.ts';
import { noMetrics } from '../../src/runtime/metrics.ts';
import { TestCluster, type TestPeer } from './crdt-peers.ts';
import { pinServiceWith } from './pin-handlers.ts';
import type { VirtualTime } from './virtual-time.ts';

/** Unlike the system's these keep the process alive: a test that waits must not end instead. */
const timers: Timers = {
  after(delayMs, fn) {
    const handle = setTimeout(fn, delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
};

/** The machine's own time behind the tests' interface. */
const realTime: VirtualTime = {
  clock: systemClock,
  timers,
  advance: (ms) => sleep(timers, ms),
  pause() {},
  jump() {},
  pending: () => 0,
};

/** One peer's pinset and consensus on memory storage in real time, with the use cases on top. */
export interface ApiPeer {
  readonly peer: TestPeer;
  readonly pins: Pins;
  stop(): Promise<void>;
}

export async function apiPeer(
  init: Partial<PinsInit> = {},
  candidates: readonly { peerId: string; freeBytes: number }[] = [],
): Promise<ApiPeer> {
  const cluster = new TestCluster(1, realTime);
  const peer = await cluster.add({ name: 'one' });
  const allocator = balanced({ ...defaultsOf(allocatorOptions), spread: false });
  const place: Place = (pin) =>
    allocator.over(
      candidates.map(({ peerId, freeBytes }) => ({
        peerId,
        standing: 'takes',
        reason: undefined,
        metrics: new Map([['freespace', freeBytes]]),
      })),
    )(pin);
  const useCases = pins(
    { replicationMin: -1, replicationMax: -1, follower: false, ...init },
    {
      consensus: peer.consensus,
      pinset: peer.pinset,
      levels: durableLevels(peer),
      placing: { place, isLeaving: (peerId) => !candidates.some((each) => each.peerId === peerId) },
      clock: systemClock,
    },
  );
  return { peer, pins: useCases, stop: () => cluster.stop() };
}

/** Levels of a peer without an IPFS node: PINNED is never reached. */
export function durableLevels({ peerId, consensus }: Pick<TestPeer, 'peerId' | 'consensus'>): Levels {
  return levels({
    peerId,
    consensus,
    monitor: { members: () => [{ peerId } as Member] },
    pinned: { wait: async () => ({ count: 0, acknowledgedBy: [] }) },
    clock: systemClock,
    metrics: noMetrics,
  });
}

export const anyone = (signal = new AbortController().signal): CallContext => ({
  principal: 'anonymous',
  namespaces: 'all',
  deadlineMs: undefined,
  signal,
});

const withoutPaths: Pick<Resolving, 'block'> = {
  block: async () => {
    throw new PinfoldError('UNIMPLEMENTED', 'no paths in this test');
  },
};

/** PinService's writes, bulk and single. */
export const writeService = (useCases: Pins, resolving: Pick<Resolving, 'block'> = withoutPaths) =>
  pinServiceWith({
    ...pinWrites(useCases, resolving),
    writePins: (requests, call) => writePins(useCases, requests, call),
  });

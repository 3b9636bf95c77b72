import { bucketCount } from '../model/pin-key.ts';
import type { Pinset } from '../pinset/pinset.ts';
import { type Clock, sleep, type Timers } from '../runtime/clock.ts';
import { ALLOCATED_BUCKETS_PER_STEP, ALLOCATED_SCAN_MS_MAX } from './constants.ts';

export interface AllocatedNeeds {
  pinset: Pick<Pinset, 'snapshot' | 'names'>;
  clock: Pick<Clock, 'monotonicMs'>;
  timers: Timers;
}

/**
 * How many pins are allocated to a peer. There is no index of that: all are looked at, a few buckets at a time, for as long as
 * may be; `more`: that was not all of them. Rejects with the signal's reason.
 */
export async function allocatedTo(
  peerId: string,
  { pinset, clock, timers }: AllocatedNeeds,
  signal: AbortSignal,
  withinMs = ALLOCATED_SCAN_MS_MAX,
): Promise<{ pins: number; more: boolean }> {
  const number = pinset.names.peers.find(peerId);
  if (number === undefined) return { pins: 0, more: false };
  const untilMs = clock.monotonicMs() + withinMs;
  let pins = 0;
  for (let from = 0; from < bucketCount; from += ALLOCATED_BUCKETS_PER_STEP) {
    if (clock.monotonicMs() > untilMs) return { pins, more: true };
    pins += await inBuckets(pinset, from, number);
    await sleep(timers, 0, signal); // Others get their turn.
  }
  return { pins, more: false };
}

/** Any live dot counts: which of them is shown may change. */
async function inBuckets(pinset: Pick<Pinset, 'snapshot'>, from: number, number: number): Promise<number> {
  const snapshot = await pinset.snapshot();
  try {
    let pins = 0;
    for (const { row } of snapshot.rows(from, Math.min(bucketCount, from + ALLOCATED_BUCKETS_PER_STEP))) {
      if (row.some(({ allocations }) => allocations.includes(number))) pins++;
    }
    return pins;
  } finally {
    snapshot.close();
  }
}

import { Allowance } from '../runtime/allowance.ts';
import { METRICS_BURST, METRICS_EVERY_MS, RECORD_EVERY_MS, RECORDS_BURST } from './constants.ts';
import type { Health, Member } from './monitor.ts';
import type { OpenedMetrics, OpenedRecord } from './records.ts';

/** What is held in memory of one member. */
export interface MemberEntry {
  record: OpenedRecord;
  /** Wall clock, as on the disk: coarse. */
  savedHeardMs: number;
  /** Wall clock, since this daemon started; 0: not heard. */
  heardMs: number;
  /** On this daemon's running time (see `RunningTime`): when it was last heard, or when it became known. */
  aliveMs: number;
  health: Health;
  metrics: { opened: OpenedMetrics; receivedMs: number } | undefined;
  records: Allowance;
  metricsAllowed: Allowance;
}

export function memberEntry(record: OpenedRecord, savedHeardMs: number, aliveMs: number, nowMs: number): MemberEntry {
  return {
    record,
    savedHeardMs,
    heardMs: 0,
    aliveMs,
    health: 'suspect',
    metrics: undefined,
    records: new Allowance(RECORDS_BURST, RECORD_EVERY_MS, nowMs),
    metricsAllowed: new Allowance(METRICS_BURST, METRICS_EVERY_MS, nowMs),
  };
}

export function areMetricsValid(entry: MemberEntry, nowMs: number): boolean {
  return entry.metrics !== undefined && nowMs - entry.metrics.receivedMs <= entry.metrics.opened.ttlMs;
}

export function memberOf(entry: MemberEntry, self: boolean, nowMs: number): Member {
  const { peerId, record } = entry.record;
  const { ipfs } = record;
  const valid = areMetricsValid(entry, nowMs);
  return {
    peerId,
    name: record.name,
    addresses: record.addresses.map((address) => `${address}/p2p/${peerId}`),
    version: record.software,
    follower: record.follower,
    level: record.level,
    trustHash: record.trustHash,
    ipfs: ipfs === undefined ? undefined : { peerId: ipfs.peerId, addresses: [...ipfs.addresses], agent: ipfs.agent },
    draining: record.draining,
    self,
    health: entry.health,
    lastHeardMs: entry.heardMs,
    metrics: [...(entry.metrics?.opened.values ?? [])].map(([name, value]) => ({ name, value, valid })),
  };
}

/**
 * The time that this process was there to listen, ms. A pause of the process (or of the machine) counts as three checks at
 * most: silence that nobody listened to is no sign of death.
 */
export class RunningTime {
  readonly #stepMsMax: number;
  #nowMs = 0;
  #lastMs: number;

  constructor(monotonicMs: number, stepMsMax: number) {
    this.#lastMs = monotonicMs;
    this.#stepMsMax = stepMsMax;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  advance(monotonicMs: number): void {
    this.#nowMs += Math.min(this.#stepMsMax, Math.max(0, monotonicMs - this.#lastMs));
    this.#lastMs = monotonicMs;
  }
}

/** `ttlMsDefault`: of a member that has not said its own. */
export function healthOf(entry: MemberEntry, runningMs: number, ttlMsDefault: number): Health {
  const ttlMs = entry.metrics?.opened.ttlMs ?? ttlMsDefault;
  const silentMs = runningMs - entry.aliveMs;
  if (silentMs > 2 * ttlMs) return 'down';
  return silentMs > ttlMs || entry.heardMs === 0 ? 'suspect' : 'up';
}

export function countHealth(entries: Iterable<MemberEntry>): Record<Health, number> {
  const counts = { up: 0, suspect: 0, down: 0 };
  for (const { health } of entries) counts[health]++;
  return counts;
}

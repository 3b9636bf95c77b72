import type { Connector } from '../ipfs/connector.ts';
import type { Clock } from '../runtime/clock.ts';
import { METRICS_TTL_MS_DEFAULT } from './constants.ts';
import type { MetricValue } from './records.ts';

/** Measures one thing of this peer. */
export interface Informer {
  /** `freespace`, `reposize`, `pinqueue`, `numpin`, `latency`, `tag:<name>`. */
  name: string;
  /** How long a reading may be used, ms. It is read anew after half of that. */
  ttlMs: number;
  /** Undefined: there is nothing to say now. A rejection is counted and logged; the last reading lives on until its time is over. */
  read(options: { signal: AbortSignal }): Promise<MetricValue | undefined>;
}

/** Free space and size of the node's repository, bytes. One question to the node serves both. */
export function spaceInformers(connector: Pick<Connector, 'space'>, ttlMs = METRICS_TTL_MS_DEFAULT): Informer[] {
  let underWay: ReturnType<Connector['space']> | undefined;
  const space = (signal: AbortSignal) => {
    underWay ??= connector.space({ signal }).finally(() => {
      underWay = undefined;
    });
    return underWay;
  };
  return [
    { name: 'freespace', ttlMs, read: async ({ signal }) => (await space(signal)).freeBytes },
    { name: 'reposize', ttlMs, read: async ({ signal }) => (await space(signal)).usedBytes },
  ];
}

/** Wishes that wait for their first or next attempt. */
export function pinQueueInformer(queued: () => number, ttlMs = METRICS_TTL_MS_DEFAULT): Informer {
  return { name: 'pinqueue', ttlMs, read: async () => queued() };
}

/** Wishes of this peer: pinned, or to be pinned. */
export function pinCountInformer(pins: () => number, ttlMs = METRICS_TTL_MS_DEFAULT): Informer {
  return { name: 'numpin', ttlMs, read: async () => pins() };
}

/** How long the node takes to say who it is, ms, smoothed over about four readings. Near 0 for a node in the process. */
export function latencyInformer(
  connector: Pick<Connector, 'id'>,
  clock: Pick<Clock, 'monotonicMs'>,
  ttlMs = METRICS_TTL_MS_DEFAULT,
): Informer {
  let smoothedMs: number | undefined;
  return {
    name: 'latency',
    ttlMs,
    async read(options) {
      const fromMs = clock.monotonicMs();
      await connector.id(options);
      const latencyMs = clock.monotonicMs() - fromMs;
      smoothedMs = smoothedMs === undefined ? latencyMs : smoothedMs + (latencyMs - smoothedMs) / 4;
      return Math.round(smoothedMs);
    },
  };
}

/** What the operator says of this peer: `region`, `zone`... */
export function tagInformers(tags: Readonly<Record<string, string>>, ttlMs = METRICS_TTL_MS_DEFAULT): Informer[] {
  return Object.entries(tags).map(([name, value]) => ({ name: `tag:${name}`, ttlMs, read: async () => value }));
}

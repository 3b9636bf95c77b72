import type { Connector } from '../ipfs/connector.ts';
import { METRICS_TTL_MS_DEFAULT } from './constants.ts';
import type { MetricValue } from './records.ts';

/** Measures one thing of this peer. */
export interface Informer {
  /** `freespace`, `reposize`, `pinqueue`, `tag:<name>`... */
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

/** What the operator says of this peer: `region`, `zone`... */
export function tagInformers(tags: Readonly<Record<string, string>>, ttlMs = METRICS_TTL_MS_DEFAULT): Informer[] {
  return Object.entries(tags).map(([name, value]) => ({ name: `tag:${name}`, ttlMs, read: async () => value }));
}

import { allocatorOptions } from '../../../src/allocator/options.ts';
import { clusterOptions } from '../../../src/cluster/options.ts';
import { defaultsOf } from '../../../src/config/option.ts';
import { crdtOptions } from '../../../src/consensus/crdt/options.ts';
import type { PeerCoreInit } from '../../../src/daemon/peer-core.ts';
import { monitorOptions } from '../../../src/monitor/options.ts';
import { pinsetOptions } from '../../../src/pinset/options.ts';
import { trackerOptions } from '../../../src/tracker/options.ts';
import type { NetworkManner } from '../world/sim-hub.ts';
import type { SimRandom } from '../world/sim-random.ts';
import type { PlanContext } from './make-plan.ts';
import type { MachinePlan } from './plan.ts';

const defaults = {
  allocator: defaultsOf(allocatorOptions),
  cluster: defaultsOf(clusterOptions),
  crdt: defaultsOf(crdtOptions),
  monitor: defaultsOf(monitorOptions),
  pinset: defaultsOf(pinsetOptions),
  tracker: defaultsOf(trackerOptions),
};

/** Options are drawn far beyond what anybody would set, so that limits are met in a small world. */
export function machinePlans({ machines, profile, faultsUntilMs }: PlanContext, random: SimRandom): MachinePlan[] {
  const crdt = {
    ...defaults.crdt,
    antiEntropyIntervalMs: Math.round(random.logarithmic(500, 10_000)),
    followPeersMax: random.pick([0, 0, 1, 3]),
    pullDelayMs: random.pick([0, 50, 200, 1_000]),
    pendingBatchesMax: random.pick([16, 64, 4_096]),
    pendingTimeoutMs: random.pick([500, 5_000, 10_000]),
    syncsServedMax: random.pick([1, 2, 8]),
    syncsAskedMax: random.pick([1, 2]),
    compareIntervalMs: random.pick([10_000, 3_600_000, 3_600_000, 3_600_000]),
    rebuildPatienceMs: random.pick([300, 3_000]),
    ...logBounds(profile.cutsLog, random),
    shadowStallTimeoutMs: random.pick([5_000, 30_000]),
    rangesServedMax: random.pick([1, 2]),
    ...(profile.comparesForMs === undefined ? {} : { restartCompareTimeoutMs: random.pick(profile.comparesForMs) }),
  };
  const cluster = {
    ...defaults.cluster,
    expiryIntervalMs: random.pick([500, 2_000]),
    expiryDelayMs: random.pick([1_000, 5_000]),
    ...(profile.reallocates
      ? {
          reallocationGraceMs: random.pick([5_000, 15_000]),
          reallocatedPinsPerSecondMax: random.pick([1, 20, 200]),
        }
      : {}),
  };
  const tracker = {
    ...defaults.tracker,
    concurrentPinsMax: random.pick([1, 3, 10]),
    pinTimeoutMs: random.pick([1_000, 5_000]),
    unpinTimeoutMs: random.pick([1_000, 5_000]),
    retryBaseMs: random.pick([200, 2_000]),
    retryMaxMs: random.pick([4_000, 20_000]),
    unpinDelayMs: random.pick([0, 1_000, 5_000]),
    auditIntervalMs: random.pick([5_000, 30_000]),
  };
  // The least that there may be, so that peers are taken for down within a world's time; more would be more events.
  const monitor = {
    ...defaults.monitor,
    metricTtlMs: profile.reallocates ? 10_000 : random.pick([10_000, 30_000, 60_000]),
  };
  return Array.from({ length: machines }, (_, i): MachinePlan => {
    const config: PeerCoreInit['config'] = {
      cluster: { ...cluster, follower: i > 1 && random.chance(0.05) && !profile.forks },
      crdt,
      monitor,
      tracker,
      pinset: defaults.pinset,
      allocator: defaults.allocator,
      network: { bootstrap: [] },
    };
    return {
      name: `m${i}`,
      config,
      bootstrap: bootstrapOf(i, random),
      disk: { commitMs: random.pick([0, 0.2, 1]), flushMs: random.logarithmic(0.5, 30) },
      clockOffsetMs: Math.round((random.float() - 0.5) * random.pick([0, 100, 5_000, 50_000])),
      joinsAtMs: i > 0 && random.chance(profile.lateJoins) ? random.int(0, faultsUntilMs) : undefined,
    };
  });
}

/** Where the log is cut soon, peers that were away rebuild. */
function logBounds(cutsLog: number, random: SimRandom): Partial<typeof defaults.crdt> {
  if (!random.chance(cutsLog)) return {};
  return {
    logAgeMinMs: random.pick([1_000, 4_000]),
    ...(random.chance(0.6) ? { logAgeMaxMs: random.pick([1_000, 5_000]) } : {}),
  };
}

/** One at least of those before; the first has none. */
function bootstrapOf(i: number, random: SimRandom): number[] {
  if (i === 0) return [];
  const others = Array.from({ length: i }, (_, other) => other).filter(() => random.chance(0.5));
  return others.length > 0 ? others : [random.int(0, i - 1)];
}

export function networkManner(random: SimRandom): NetworkManner {
  return {
    latencyMs: random.logarithmic(0.3, 100),
    gossipLoss: random.pick([0, 0, 0.05, 0.3, 0.9]),
    gossipTwice: random.pick([0, 0.1, 0.5]),
    gossipLateMs: random.pick([0, 10, 1_000, 5_000]),
    streamLoss: random.pick([0, 0.01, 0.1]),
    redialMs: random.pick([50, 500, 3_000]),
    silenceMs: random.pick([500, 5_000, 20_000]),
  };
}

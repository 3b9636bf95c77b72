import type { NetworkManner } from '../world/sim-hub.ts';
import { SimRandom } from '../world/sim-random.ts';
import { machinePlans, networkManner } from './configuration.ts';
import { faultOf } from './faults.ts';
import type { EventKind, MachinePlan, Plan, PlannedEvent } from './plan.ts';
import { type Profile, type ProfileName, profiles, profileWeights } from './profiles.ts';
import { workOf } from './workload.ts';

/** What generators go by. */
export interface PlanContext {
  readonly random: SimRandom;
  readonly profile: Profile;
  readonly machines: number;
  readonly contents: number;
  readonly faultsUntilMs: number;
}

const workKinds: readonly EventKind[] = ['write', 'bulk', 'watch', 'list', 'recover', 'care'];

/** The same plan for the same seed and profile, everywhere and always. */
export function makePlan(seed: number, name?: ProfileName): Plan {
  const choice = new SimRandom(seed, 'profile').weighted(profileWeights);
  const profileName = name ?? choice;
  const profile: Profile = profiles[profileName];
  const random = new SimRandom(seed, 'plan');
  const faultsUntilMs = Math.round(random.logarithmic(...profile.faultsMs));
  const context: PlanContext = {
    random,
    profile,
    machines: random.int(...profile.peers),
    contents: random.int(...profile.contents),
    faultsUntilMs,
  };
  const machines = machinePlans(context, new SimRandom(seed, 'configuration'));
  const events = [...eventsOf(context, 'work'), ...eventsOf(context, 'faults')]
    .sort((a, b) => a.atMs - b.atMs)
    .map((event, id) => ({ ...event, id }) as PlannedEvent);
  return {
    seed,
    profile: profileName,
    machines,
    network: networkOf(profile, new SimRandom(seed, 'network')),
    events,
    faultsUntilMs,
    convergeWithinMs: profile.convergeWithinMs,
    leavesForked: profile.forks,
    leftDown: leftDown(context, machines),
    keepsTrust: new SimRandom(seed, 'trust').chance(0.7),
  };
}

/** Where pins move, only who does not run is not heard: else nobody outside could tell a good move from a bad one. */
function networkOf({ reallocates }: Profile, random: SimRandom): NetworkManner {
  const manner = networkManner(random);
  return reallocates ? { ...manner, gossipLoss: Math.min(manner.gossipLoss, 0.05) } : manner;
}

function eventsOf(context: PlanContext, what: 'work' | 'faults'): Omit<PlannedEvent, 'id'>[] {
  const { random, profile, faultsUntilMs } = context;
  const isWork = (kind: string) => (workKinds as readonly string[]).includes(kind);
  const entries = Object.entries(profile.weights).filter(([kind]) => isWork(kind) === (what === 'work'));
  const weights = Object.fromEntries(entries) as Record<EventKind, number>;
  const [min, max] = what === 'work' ? profile.workRate : profile.faultRate;
  const rate = min === 0 ? 0 : random.logarithmic(min, max);
  const count = Math.round((rate * faultsUntilMs) / 1000);
  const events: Omit<PlannedEvent, 'id'>[] = [];
  for (let i = 0; i < count; i++) {
    // Work comes in bursts: what happens at nearly the same time is what meets.
    const last = events.at(-1)?.atMs ?? 0;
    const atMs = last > 0 && random.chance(0.3) ? last + random.int(0, 20) : random.int(0, faultsUntilMs);
    const kind = random.weighted(weights);
    const event = what === 'work' ? workOf(context, kind) : faultOf(context, kind);
    if (event !== undefined)
      events.push({ ...event, atMs: Math.min(atMs, faultsUntilMs - 1) } as Omit<PlannedEvent, 'id'>);
  }
  return events;
}

/** Most of the time all are healed; never fewer than half, and nobody is left that knows of none but who is not there. */
function leftDown({ random, machines, profile }: PlanContext, plans: readonly MachinePlan[]): number[] {
  if (machines < 3 || !random.chance(profile.leavesDown)) return [];
  const down = random.int(1, machines - 1);
  const isNeeded = plans.some(({ bootstrap }) => bootstrap.length > 0 && bootstrap.every((other) => other === down));
  return isNeeded ? [] : [down];
}

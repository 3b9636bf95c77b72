import type { MemoryFaults } from '../../../src/ipfs/memory/ipfs-world.ts';
import type { SimRandom } from '../world/sim-random.ts';
import type { PlanContext } from './make-plan.ts';
import type { EventKind, FaultEvent } from './plan.ts';

/** It knows of another from the start. */
const forkingMachine = 1;

type Maker = (context: PlanContext & { machine: number; forMs: number }) => FaultEvent | undefined;

const makers: Partial<Record<EventKind, Maker>> = {
  crash: ({ random, machine, forMs }) => ({
    kind: 'crash',
    machine,
    of: random.chance(0.7) ? 'machine' : 'process',
    downMs: forMs,
  }),
  stop: ({ machine, forMs }) => ({ kind: 'stop', machine, downMs: forMs }),
  partition: ({ random, machines, forMs }) => {
    if (machines < 2) return undefined;
    const { from, to } = groups(random, machines);
    return { kind: 'partition', from, to, oneWay: random.chance(0.3), forMs };
  },
  'slow-link': ({ random, machines, forMs }) => {
    const [from, to] = pair(random, machines);
    return from === to ? undefined : { kind: 'slow-link', from, to, factor: random.pick([10, 100]), forMs };
  },
  'cut-streams': ({ random, machines }) => {
    const [a, b] = pair(random, machines);
    return a === b ? undefined : { kind: 'cut-streams', a, b };
  },
  disconnect: ({ random, machines }) => {
    const [a, b] = pair(random, machines);
    return a === b ? undefined : { kind: 'disconnect', a, b };
  },
  'gossip-off': ({ forMs }) => ({ kind: 'gossip-off', forMs }),
  clock: ({ random, machine, forMs }) => ({
    kind: 'clock',
    machine,
    offsetMs: Math.round((random.float() - 0.5) * random.pick([2_000, 100_000, 600_000])),
    forMs,
  }),
  'slow-disk': ({ random, machine, forMs }) => ({ kind: 'slow-disk', machine, factor: random.pick([10, 100]), forMs }),
  'low-disk': ({ machine, forMs }) => ({ kind: 'low-disk', machine, forMs }),
  'failing-disk': ({ random, machine, forMs }) => ({
    kind: 'failing-disk',
    machine,
    at: random.pick(['commit', 'flush'] as const),
    downMs: forMs,
  }),
  remove: ({ random, machines, forMs }) => {
    if (machines < 2) return undefined;
    const [at, machine] = pair(random, machines);
    return { kind: 'remove', at, machine, was: random.pick(['running', 'stopped', 'dead'] as const), downMs: forMs };
  },
  drain: ({ random, machines, machine }) => ({
    kind: 'drain',
    at: random.int(0, machines - 1),
    machine,
    ends: random.chance(0.4),
  }),
  trust: ({ random, machines, machine }) => ({ kind: 'trust', machine, trusts: trustedBy(random, machines) }),
  backup: ({ machine }) => ({ kind: 'backup', machine }),
  restore: ({ machine, forMs }) => ({ kind: 'restore', machine, downMs: forMs }),
  // The first machine is told of no other: alone, with a copy from before it met any, it has nobody to compare with.
  rollback: ({ random, machines, forMs }) =>
    machines < 2 ? undefined : { kind: 'rollback', machine: random.int(1, machines - 1), downMs: forMs },
  // One machine alone: of two authors each on a history that the other gave up nothing is promised.
  fork: ({ random, machines, forMs }) => {
    if (machines < 2) return undefined;
    const others = Array.from({ length: machines }, (_, i) => i).filter((i) => i !== forkingMachine);
    return {
      kind: 'fork',
      machine: forkingMachine,
      blind: random.chance(0.6) ? random.pick(others) : undefined,
      putBackAfterMs: random.int(500, 6_000),
      downMs: Math.min(forMs, 2_000),
      aloneMs: random.int(1_000, 6_000),
      apartMs: random.pick([0, 1_000, 10_000]),
    };
  },
  wipe: ({ machine, machines, forMs }) => (machines < 2 ? undefined : { kind: 'wipe', machine, downMs: forMs }),
  twin: ({ machine, machines, forMs }) => (machines < 2 ? undefined : { kind: 'twin', machine, forMs }),
  ipfs: ({ random, machine, forMs }) => ({ kind: 'ipfs', machine, faults: nodeFaults(random), forMs }),
  'ipfs-loses': ({ random, machine, contents }) => ({
    kind: 'ipfs-loses',
    machine,
    content: random.int(0, contents - 1),
  }),
  damage: ({ random, machine }) => ({
    kind: 'damage',
    machine,
    what: random.weighted({
      flip: 3,
      'flip-dot': 3,
      garble: 1,
      lose: 2,
      'lose-entry': 1,
      'flip-entry': 1,
      forget: 1,
      'garble-tracker': 2,
      'flip-log': 1,
      'lose-log': 1,
    }),
    at: random.int(0, 1_000_000),
  }),
};

export function faultOf(context: PlanContext, kind: EventKind): FaultEvent | undefined {
  const { random, machines, faultsUntilMs } = context;
  const machine = random.int(0, machines - 1);
  const forMs = Math.round(random.logarithmic(10, faultsUntilMs / 2));
  return makers[kind]?.({ ...context, machine, forMs });
}

function trustedBy(random: SimRandom, machines: number): number[] | 'all' {
  if (random.chance(0.3)) return 'all';
  const share = random.pick([0.3, 0.7, 0.9]);
  return Array.from({ length: machines }, (_, i) => i).filter(() => random.chance(share));
}

function pair(random: SimRandom, machines: number): [number, number] {
  const a = random.int(0, machines - 1);
  return [a, (a + random.int(1, Math.max(1, machines - 1))) % machines];
}

function groups(random: SimRandom, machines: number): { from: number[]; to: number[] } {
  const all = Array.from({ length: machines }, (_, i) => i);
  const first = random.int(0, machines - 1);
  const from = all.filter((i) => i === first || random.chance(0.3));
  const to = all.filter((i) => !from.includes(i));
  if (to.length > 0) return { from, to };
  return { from: [first], to: all.filter((i) => i !== first) };
}

function nodeFaults(random: SimRandom): Partial<MemoryFaults> {
  const which = random.pick(['down', 'lying', 'cut', 'slow', 'silent', 'hangs'] as const);
  if (which === 'down') return { isDown: true };
  if (which === 'lying') return { isLying: true };
  if (which === 'cut') return { isCutOff: true };
  if (which === 'slow') return { callDelayMs: random.int(10, 2_000), sendDelayMs: random.int(0, 500) };
  if (which === 'silent') return { sendsLeft: random.int(0, 3) };
  return { callDelayMs: 20_000 };
}

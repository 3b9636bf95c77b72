import type { PlanContext } from './make-plan.ts';
import type {
  BulkEvent,
  CareEvent,
  EventKind,
  ListEvent,
  RecoverEvent,
  WatchEvent,
  WorkEvent,
  WriteEvent,
} from './plan.ts';

export function workOf(context: PlanContext, kind: EventKind): WorkEvent {
  if (kind === 'bulk') return bulk(context);
  if (kind === 'watch') return watch(context);
  if (kind === 'list') return list(context);
  if (kind === 'recover') return recover(context);
  if (kind === 'care') return care(context);
  return write(context);
}

function write({ random, profile, machines, contents }: PlanContext): WriteEvent {
  const content = random.int(0, contents - 1);
  const ack = random.weighted({ durable: 8, replicated: 1, pinned: 0.5 });
  return {
    kind: 'write',
    machine: random.int(0, machines - 1),
    op: random.weighted({ pin: 8, unpin: 4, replace: 1, renew: 1, 'pin-if-absent': 0.5, 'pin-if-match': 0.5 }),
    content,
    to: (content + 1 + random.int(0, Math.max(0, contents - 2))) % contents,
    namespace: random.chance(0.8) ? 'default' : 'team-a',
    mode: random.chance(0.9) ? 'recursive' : 'direct',
    expiresInMs: random.chance(profile.expires) ? random.int(1_000, 20_000) : 0,
    replication: random.chance(profile.allocated) ? random.int(1, Math.max(1, machines - 1)) : 0,
    hasIdempotencyKey: random.chance(profile.retried),
    retries: Array.from({ length: random.int(0, 3) }, () => random.int(0, machines - 1)),
    ack: ack === 'durable' ? { kind: 'durable' } : { kind: ack, count: random.int(1, machines) },
  };
}

function bulk({ random, machines, contents }: PlanContext): BulkEvent {
  const here = random.int(0, machines - 1);
  // Taken up at the same peer mostly: only there each operation is promised to be done once.
  const machinesTried = Array.from({ length: 8 }, () => (random.chance(0.8) ? here : random.int(0, machines - 1)));
  return {
    kind: 'bulk',
    machines: machinesTried,
    count: random.int(2, 40),
    perCall: random.int(1, 10),
    firstContent: random.int(0, contents - 1),
    unpins: random.chance(0.3),
  };
}

function watch({ random, machines, faultsUntilMs }: PlanContext): WatchEvent {
  const legs = Array.from({ length: random.int(1, 4) }, () => ({
    machine: random.int(0, machines - 1),
    forMs: random.int(100, faultsUntilMs),
  }));
  return { kind: 'watch', legs, pinsOnly: random.chance(0.5), namespace: random.chance(0.8) ? undefined : 'team-a' };
}

function list({ random, machines }: PlanContext): ListEvent {
  const order = random.pick(['key', 'name', 'created', 'created-descending'] as const);
  return { kind: 'list', machine: random.int(0, machines - 1), order, pageSize: random.int(1, 20) };
}

function recover({ random, machines }: PlanContext): RecoverEvent {
  return { kind: 'recover', machine: random.int(0, machines - 1) };
}

function care({ random, machines }: PlanContext): CareEvent {
  return { kind: 'care', machine: random.int(0, machines - 1) };
}

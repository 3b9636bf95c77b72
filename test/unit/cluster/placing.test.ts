import t from 'tap';
import { balanced } from '../../../src/allocator/balanced.ts';
import { Placing } from '../../../src/cluster/placing.ts';
import type { Member, MonitorChange } from '../../../src/monitor/monitor.ts';
import { defaults, input } from '../allocator/peers.ts';

function world() {
  let nowMs = 0;
  const listeners = new Set<(change: MonitorChange) => void>();
  const trustListeners = new Set<() => void>();
  const distrusted = new Set<string>();
  const members = ['a', 'b'].map((peerId): Member => {
    const metrics = { freespace: 2 ** 40, pinqueue: 0 };
    return {
      peerId,
      name: peerId,
      addresses: [],
      version: '',
      follower: false,
      level: 1,
      trustHash: new Uint8Array(),
      ipfs: undefined,
      draining: false,
      self: peerId === 'a',
      health: 'up',
      lastHeardMs: 0,
      metrics: Object.entries(metrics).map(([name, value]) => ({ name, value, valid: true })),
    };
  });
  const placing = new Placing(defaults, {
    allocator: balanced(defaults),
    monitor: {
      members: () => members,
      onChange: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    trust: {
      isTrusted: (peerId) => !distrusted.has(peerId),
      onChange: (listener) => {
        trustListeners.add(listener);
        return () => trustListeners.delete(listener);
      },
    },
    isLost: () => false,
    clock: { monotonicMs: () => nowMs },
  });
  return {
    placing,
    members,
    distrusted,
    taking: () => placing.place(input({ replicationMax: 2 })).sort(),
    pass: (ms: number) => {
      nowMs += ms;
    },
    memberChanged: () => listeners.forEach((tell) => void tell({ kind: 'health', peerId: 'b', health: 'down' })),
    metricsCame: () => listeners.forEach((tell) => void tell({ kind: 'metrics', peerId: 'b' })),
    trustChanged: () => trustListeners.forEach((tell) => void tell()),
  };
}

t.test('a change of a member, of the trust list or of the draining is seen at once', async (t) => {
  const { taking, members, memberChanged, distrusted, trustChanged, placing } = world();
  t.same(taking(), ['a', 'b']);
  Object.assign(members[1] as Member, { health: 'down' });
  memberChanged();
  t.same(taking(), ['a']);
  Object.assign(members[1] as Member, { health: 'up' });
  memberChanged();
  t.same(taking(), ['a', 'b']);
  distrusted.add('b');
  trustChanged();
  t.same(taking(), ['a']);
  distrusted.clear();
  trustChanged();
  Object.assign(members[0] as Member, { draining: true });
  memberChanged();
  t.same(taking(), ['b']);
  t.same(
    placing.peers.map(({ peerId, standing }) => [peerId, standing]),
    [
      ['a', 'leaves'],
      ['b', 'takes'],
    ],
  );
  t.same(
    ['a', 'b', 'nobody'].map((peerId) => placing.isLeaving(peerId)),
    [true, false, true],
  );
});

t.test('metrics that have come count within a second, and at once where there would be too few peers', async (t) => {
  const { taking, members, metricsCame, pass, placing } = world();
  const setFree = (bytes: number) => {
    for (const metric of members[1]?.metrics ?? [])
      if (metric.name === 'freespace') Object.assign(metric, { value: bytes });
  };
  setFree(0);
  t.same(taking(), ['a']);
  const two = input({ replicationMin: 2, replicationMax: 2 });
  t.throws(() => placing.place(two), { code: 'NOT_ENOUGH_PEERS' });
  setFree(2 ** 40);
  t.throws(() => placing.place(two), { code: 'NOT_ENOUGH_PEERS' }, 'nothing was told of it');
  metricsCame();
  t.same(taking(), ['a'], 'not looked at yet');
  t.same(placing.place(two).sort(), ['a', 'b'], 'looked at when it matters');
  setFree(0);
  metricsCame();
  t.same(taking(), ['a', 'b']);
  t.same(
    placing.look().peers.map(({ standing }) => standing),
    ['takes', 'keeps'],
    'on demand',
  );
  setFree(2 ** 40);
  metricsCame();
  pass(1_001);
  t.same(taking(), ['a', 'b'], 'after a second');
});

t.test('readings that end without a word count for a second more', async (t) => {
  const { taking, members, pass } = world();
  t.same(taking(), ['a', 'b']);
  for (const metric of members[1]?.metrics ?? []) metric.valid = false;
  t.same(taking(), ['a', 'b']);
  pass(1_001);
  t.same(taking(), ['a']);
});

t.test('who tells at last how much space it has gets pins at once, though there were enough peers', async (t) => {
  const { placing, members, metricsCame } = world();
  const b = members[1] as Member;
  const { metrics } = b;
  Object.assign(b, { metrics: metrics.map((metric) => ({ ...metric, valid: false })) });
  const named = input({ replicationMin: 1, replicationMax: 1, userAllocations: ['b'] });
  t.same(placing.place(named), ['a']);
  Object.assign(b, { metrics });
  metricsCame();
  t.same(placing.place(named), ['b']);
});

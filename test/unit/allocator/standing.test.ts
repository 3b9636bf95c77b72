import t from 'tap';
import { allocateByProblem } from '../../../src/allocator/options.ts';
import { allocatable, type MemberFacts } from '../../../src/allocator/standing.ts';
import { defaults } from './peers.ts';

const values = { freespace: 2 ** 40, pinqueue: 3, 'tag:disk': 'ssd' };
const metrics = (changes: Readonly<Record<string, number | string>> = {}, valid = true) =>
  Object.entries({ ...values, ...changes }).map(([name, value]) => ({ name, value, valid }));
const facts: MemberFacts = {
  peerId: 'a',
  health: 'up',
  follower: false,
  metrics: metrics(),
  isTrusted: true,
  isDraining: false,
  isLost: false,
};

t.test('what a member does with pins, and why', async (t) => {
  const away = { health: 'down' as const, metrics: metrics({}, false) };
  const rows: [Partial<MemberFacts>, string, unknown][] = [
    [{}, 'takes', undefined],
    [{ follower: true }, 'named', { code: 'FOLLOWER' }],
    [{ isTrusted: false }, 'keeps', { code: 'UNTRUSTED' }],
    [{ health: 'suspect' }, 'keeps', { code: 'SUSPECT' }],
    [away, 'keeps', { code: 'DOWN' }],
    [{ ...away, isLost: true }, 'leaves', { code: 'LOST' }],
    [{ isDraining: true, follower: true }, 'leaves', { code: 'DRAINING' }],
    [{ metrics: metrics({}, false) }, 'keeps', { code: 'NO_METRIC', metric: 'freespace' }],
    [{ metrics: metrics({ pinqueue: 'many' }) }, 'keeps', { code: 'NO_METRIC', metric: 'pinqueue' }],
    [{ metrics: metrics({ 'tag:disk': 'hdd' }) }, 'keeps', { code: 'MISSING_TAG', tag: 'disk', value: 'ssd' }],
    [
      { metrics: metrics({ freespace: 5 }), follower: true },
      'keeps',
      { code: 'BELOW_HEADROOM', freeBytes: 5, headroomBytes: 2 ** 30 },
    ],
  ];
  const options = { ...defaults, requiredTags: { disk: 'ssd' } };
  for (const [changes, standing, reason] of rows) {
    const { metrics: _, ...said } = allocatable({ ...facts, ...changes }, options);
    t.same(said, { peerId: 'a', standing, reason }, `${standing} ${JSON.stringify(reason)}`);
  }
  t.equal(
    allocatable({ ...facts, metrics: metrics({ freespace: 0 }) }, { ...options, headroomBytes: 0 }).standing,
    'takes',
  );
});

t.test('a tag that it does not have is no reason, and what is no longer valid is not looked at', async (t) => {
  const options = { ...defaults, allocateBy: ['tag:region', 'freespace'] };
  const stale = [...metrics(), { name: 'numpin', value: 3, valid: false }];
  const one = allocatable({ ...facts, metrics: stale }, options);
  t.equal(one.standing, 'takes');
  t.same(Object.fromEntries(one.metrics), values);
});

t.test('metrics are given in the one order in which each has a meaning', async (t) => {
  for (const good of [[], ['tag:a', 'tag:b', 'latency', 'pinqueue', 'numpin'], ['reposize'], ['tag:a']]) {
    t.equal(allocateByProblem(good), undefined, good.join());
  }
  t.match(allocateByProblem(['pinqueue', 'tag:a']), /tags come first/);
  t.match(allocateByProblem(['freespace', 'pinqueue']), /tags come first/);
  t.match(allocateByProblem(['freespace', 'numpin']), /one of/);
});

import t from 'tap';
import type { AllocatablePeer, AllocationInput } from '../../../src/allocator/allocator.ts';
import { balanced } from '../../../src/allocator/balanced.ts';
import { isPinfoldError } from '../../../src/model/errors.ts';
import { fc } from '../../support/fast-check.ts';
import { defaults, input, keyOf, peer } from './peers.ts';

const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
const regions = ['eu', 'us', 'ap', ''];

const somePeers: fc.Arbitrary<AllocatablePeer[]> = fc
  .uniqueArray(
    fc.record({
      peerId: fc.constantFrom(...ids),
      region: fc.constantFrom(...regions),
      disk: fc.constantFrom('ssd', 'hdd'),
      freespace: fc.integer({ min: 0, max: 3 }),
      pinqueue: fc.integer({ min: 0, max: 30 }),
      standing: fc.constantFrom<AllocatablePeer['standing']>('takes', 'takes', 'takes', 'named', 'keeps', 'leaves'),
    }),
    { selector: ({ peerId }) => peerId },
  )
  .map((rows) =>
    rows.map(({ peerId, region, disk, freespace, pinqueue, standing }) => {
      const tag = region === '' ? {} : { 'tag:region': region };
      return peer(peerId, { ...tag, 'tag:disk': disk, freespace, pinqueue }, standing);
    }),
  );

const someIds = fc.array(fc.constantFrom(...ids, 'unknown'), { maxLength: 9 });
const somePin: fc.Arbitrary<AllocationInput> = fc
  .record(
    {
      number: fc.nat(),
      replicationMin: fc.integer({ min: 1, max: 4 }),
      extra: fc.integer({ min: 0, max: 3 }),
      current: someIds,
      userAllocations: someIds,
      must: fc.constantFrom(['a'], ['unknown'], ['a', 'unknown']),
    },
    { requiredKeys: ['number', 'replicationMin', 'extra', 'current', 'userAllocations'] },
  )
  .map(({ number, extra, ...rest }) => ({
    ...rest,
    key: keyOf(number),
    // As many as have the blocks have their place.
    replicationMax: Math.max(rest.replicationMin + extra, rest.must?.length ?? 0),
  }));

const someOptions = fc.record({
  allocateBy: fc.constantFrom(defaults.allocateBy, ['tag:region', 'tag:disk', 'freespace'], ['freespace'], []),
  spread: fc.boolean(),
  pinQueueBucketSize: fc.constant(10),
  preferredTags: fc.constantFrom<Record<string, string>>({}, { disk: 'ssd' }),
});

t.test('whatever comes in: within the factors, what is valid kept, must included, filled up', async (t) => {
  fc.assert(
    fc.property(someOptions, somePeers, somePin, (options, peers, pin) => {
      const place = balanced(options).over(peers);
      const { replicationMin: min, replicationMax: max, current, must = [] } = pin;
      const standing = new Map(peers.map((one) => [one.peerId, one.standing]));
      const may = (peerId: string) => (standing.get(peerId) ?? 'leaves') !== 'leaves';
      const valid = new Set(current.filter((peerId) => may(peerId) || must.includes(peerId)));
      const named = pin.userAllocations.filter((peerId) => standing.get(peerId) === 'named');
      const takers = peers.filter((one) => one.standing === 'takes').map(({ peerId }) => peerId);
      const usable = new Set([...valid, ...named, ...takers, ...must]);
      const result = attempt(() => place(pin));
      if (result === 'NOT_ENOUGH_PEERS') return usable.size < min;
      const room = max - must.filter((peerId) => !valid.has(peerId)).length;
      const kept = [...valid].filter((peerId) => result.includes(peerId));
      return (
        new Set(result).size === result.length &&
        result.length === Math.min(max, usable.size) &&
        result.length >= min &&
        result.every((peerId) => usable.has(peerId)) &&
        must.every((peerId) => result.includes(peerId)) &&
        kept.length >= Math.min(valid.size, room) &&
        JSON.stringify(result.slice(0, kept.length)) === JSON.stringify(kept)
      );
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

t.test('the same for the peers in any order, and whatever was placed before', async (t) => {
  const shuffled = somePeers.chain((peers) =>
    fc.tuple(fc.constant(peers), fc.shuffledSubarray(peers, { minLength: peers.length })),
  );
  fc.assert(
    fc.property(someOptions, shuffled, somePin, somePin, (options, [peers, others], pin, before) => {
      const there = balanced(options).over(others);
      attempt(() => there(before));
      const here = attempt(() => balanced(options).over(peers)(pin));
      return JSON.stringify(here) === JSON.stringify(attempt(() => there(pin)));
    }),
    { numRuns: 1000 },
  );
  t.pass();
});

t.test('new replicas go round the regions: none has two more than another that could have taken one', async (t) => {
  const options = { ...defaults, allocateBy: ['tag:region', 'freespace'] };
  fc.assert(
    fc.property(somePeers, somePin, fc.boolean(), (peers, pin, spread) => {
      const plain = input({ ...pin, replicationMin: 1, userAllocations: [], current: [] });
      const result = attempt(() => balanced({ ...options, spread }).over(peers)(plain));
      if (result === 'NOT_ENOUGH_PEERS') return true;
      const regionOf = ({ metrics }: AllocatablePeer) => metrics.get('tag:region') ?? '';
      const takers = peers.filter(({ standing }) => standing === 'takes');
      const counts = [...Map.groupBy(takers, regionOf).values()].map((members) => {
        const has = members.filter(({ peerId }) => result.includes(peerId)).length;
        return { has, isFull: has === members.length };
      });
      // The peer that must have it may be any.
      const allowed = pin.must === undefined ? 1 : 2;
      return counts.every(({ has }) => counts.every((other) => other.isFull || has - other.has <= allowed));
    }),
    { numRuns: 1000 },
  );
  t.pass();
});

t.test('when a peer leaves, only what lay there moves, and each replica of it to one other', async (t) => {
  fc.assert(
    fc.property(someOptions, somePeers, somePin, fc.constantFrom(...ids), (options, peers, pin, gone) => {
      const { must: _, ...rest } = pin;
      const before = attempt(() => balanced(options).over(peers)(rest));
      if (before === 'NOT_ENOUGH_PEERS') return true;
      const left = peers.map((one) => (one.peerId === gone ? { ...one, standing: 'leaves' as const } : one));
      const after = attempt(() => balanced(options).over(left)({ ...rest, current: before }));
      if (after === 'NOT_ENOUGH_PEERS') return before.includes(gone);
      return before.filter((peerId) => peerId !== gone).every((peerId) => after.includes(peerId));
    }),
    { numRuns: 1000 },
  );
  t.pass();
});

t.test('new pins, too, fall where they would have fallen before a peer left, unless it was there', async (t) => {
  const peers = ids.map((id, i) => peer(id, { freespace: 1 + i }));
  const all = balanced({ ...defaults, allocateBy: ['freespace'] }).over(peers);
  const fewer = balanced({ ...defaults, allocateBy: ['freespace'] }).over(peers.slice(0, -1));
  let moved = 0;
  for (let i = 0; i < 1000; i++) {
    const pin = input({ key: keyOf(i), replicationMin: 2, replicationMax: 2 });
    const before = all(pin);
    const after = fewer(pin);
    if (before.includes('h')) moved++;
    else if (String(after) !== String(before)) t.same(after, before);
  }
  t.ok(moved > 0 && moved < 800);
});

function attempt(place: () => string[]): string[] | 'NOT_ENOUGH_PEERS' {
  try {
    return place();
  } catch (error) {
    if (isPinfoldError(error, 'NOT_ENOUGH_PEERS')) return 'NOT_ENOUGH_PEERS';
    throw error;
  }
}

import t from 'tap';
import type { AllocationInput } from '../../../src/allocator/allocator.ts';
import { mostFreeSpace } from '../../../src/allocator/most-free-space.ts';
import { isPinfoldError } from '../../../src/model/errors.ts';
import { fc } from '../../support/fast-check.ts';

const candidates = [
  { peerId: 'a', freeBytes: 100 },
  { peerId: 'b', freeBytes: 300 },
  { peerId: 'c', freeBytes: 200 },
  { peerId: 'd', freeBytes: 200 },
  { peerId: 'full', freeBytes: 0 },
];

function input(changes: Partial<AllocationInput>): AllocationInput {
  return { replicationMin: 2, replicationMax: 3, current: [], userAllocations: [], candidates, ...changes };
}

t.test('the rule by example', async (t) => {
  const rows: [string, Partial<AllocationInput>, string[]][] = [
    ['everywhere has no list', { replicationMin: -1, replicationMax: -1, current: ['a'] }, []],
    ['most free space first, ties by peer ID, up to max', {}, ['b', 'c', 'd']],
    ['preferred peers go first', { userAllocations: ['a', 'gone', 'full'] }, ['a', 'b', 'c']],
    ['enough current ones stay as they are', { current: ['a', 'd'] }, ['a', 'd']],
    ['too few current ones are filled up to max', { current: ['a'] }, ['a', 'b', 'c']],
    ['those that are gone are replaced', { current: ['gone', 'a'] }, ['a', 'b', 'c']],
    ['a full one keeps what it has', { current: ['full', 'a'] }, ['full', 'a']],
    ['surplus goes, least free space first', { current: ['a', 'b', 'c', 'd'] }, ['b', 'c', 'd']],
    ['surplus spares the preferred', { current: ['a', 'b', 'c', 'd'], userAllocations: ['a'] }, ['a', 'b', 'c']],
    ['must is one of them', { must: 'a' }, ['a', 'b', 'c']],
    ['must displaces a current one at max', { must: 'a', current: ['d', 'c', 'b'] }, ['c', 'b', 'a']],
    ['must need not be a candidate', { must: 'full', replicationMin: 1, replicationMax: 1 }, ['full']],
    ['must alone can be enough', { must: 'x', replicationMin: 1, replicationMax: 2, candidates: [] }, ['x']],
  ];
  for (const [name, changes, expected] of rows) t.same(mostFreeSpace(input(changes)), expected, name);
});

t.test('says how many peers there are and how many are needed', async (t) => {
  t.throws(() => mostFreeSpace(input({ replicationMin: 5, replicationMax: 6 })), {
    code: 'NOT_ENOUGH_PEERS',
    message: 'not enough peers to allocate the pin: 5 needed at least, 6 wanted at most, 4 can take it',
  });
});

const peers = fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'), { maxLength: 9 });
const inputs: fc.Arbitrary<AllocationInput> = fc
  .record(
    {
      replicationMin: fc.integer({ min: 1, max: 4 }),
      extra: fc.integer({ min: 0, max: 3 }),
      current: peers,
      userAllocations: peers,
      must: fc.constantFrom('a', 'x'),
      candidates: fc.array(
        fc.record({ peerId: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), freeBytes: fc.integer({ min: 0, max: 3 }) }),
        { maxLength: 8 },
      ),
    },
    { requiredKeys: ['replicationMin', 'extra', 'current', 'userAllocations', 'candidates'] },
  )
  .map(({ extra, ...rest }) => ({ ...rest, replicationMax: rest.replicationMin + extra }) as AllocationInput);

t.test('whatever comes in: within the factors, current kept, must included, the same for any order', async (t) => {
  fc.assert(
    fc.property(inputs, (given) => {
      const free = new Map(given.candidates.map((c) => [c.peerId, c.freeBytes]));
      const usable = new Set([
        ...[...free].filter(([, bytes]) => bytes > 0).map(([peerId]) => peerId),
        ...given.current.filter((peerId) => free.has(peerId)),
        ...(given.must === undefined ? [] : [given.must]),
      ]);
      const result = attempt(given);
      if (result === 'NOT_ENOUGH_PEERS') return usable.size < given.replicationMin;
      const valid = new Set(given.current.filter((peerId) => free.has(peerId)));
      const keptAll = [...valid].every((peerId) => result.includes(peerId));
      const room = given.replicationMax - (given.must === undefined || valid.has(given.must) ? 0 : 1);
      const reversed = attempt({
        ...given,
        candidates: [...free].reverse().map(([peerId, freeBytes]) => ({ peerId, freeBytes })),
      });
      return (
        new Set(result).size === result.length &&
        result.length >= given.replicationMin &&
        result.length <= given.replicationMax &&
        result.every((peerId) => usable.has(peerId)) &&
        (given.must === undefined || result.includes(given.must)) &&
        (valid.size > room || keptAll) &&
        JSON.stringify(reversed) === JSON.stringify(result)
      );
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

function attempt(given: AllocationInput): string[] | 'NOT_ENOUGH_PEERS' {
  try {
    return mostFreeSpace(given);
  } catch (error) {
    if (isPinfoldError(error, 'NOT_ENOUGH_PEERS')) return 'NOT_ENOUGH_PEERS';
    throw error;
  }
}

import t from 'tap';
import { type Holding, nextPlacement } from '../../../../src/cluster/reallocation/next-placement.ts';
import { fc } from '../../../support/fast-check.ts';

const place = (current: string[], desired: string[], min: number, holding: Record<string, Holding>) =>
  nextPlacement({ current, desired, replicationMin: min, holding: (peerId) => holding[peerId] ?? 'unknown' });

t.test('new peers are added at once, old ones stay until there are copies enough', async (t) => {
  t.same(place(['a', 'b'], ['a', 'c'], 2, { a: 'holds', b: 'holds', c: 'lacks' }), ['a', 'c', 'b']);
  t.same(place(['a', 'c', 'b'], ['a', 'c'], 2, { a: 'holds', b: 'holds', c: 'holds' }), ['a', 'c']);
  t.same(place(['a', 'c', 'b'], ['a', 'c'], 1, { a: 'holds', b: 'holds', c: 'lacks' }), ['a', 'c'], 'min is met');
});

t.test('who is lost may have the only copy; who is known to have none can go', async (t) => {
  t.same(place(['a'], ['b'], 1, { b: 'lacks' }), ['b', 'a']);
  t.same(place(['a'], ['b'], 1, { a: 'lacks', b: 'lacks' }), ['b']);
  t.same(place(['a', 'b'], [], 1, {}), ['a', 'b'], 'nowhere to go');
});

t.test('whatever peers come and go, moves leave as many copies as there were, up to min', async () => {
  const peers = ['a', 'b', 'c', 'd', 'e'];
  const step = fc.record({
    desired: fc.subarray(peers),
    fetches: fc.constantFrom(...peers),
    heard: fc.subarray(peers, { minLength: 2 }),
  });
  fc.assert(
    fc.property(
      fc.subarray(peers, { minLength: 1 }),
      fc.subarray(peers, { minLength: 1 }),
      fc.integer({ min: 1, max: 4 }),
      fc.array(step, { maxLength: 30 }),
      (allocated, holding, min, steps) => {
        let current: string[] = allocated;
        const holders = new Set(holding.filter((peerId) => allocated.includes(peerId)));
        for (const { desired, fetches, heard } of steps) {
          const before = holders.size;
          const known = (peerId: string): Holding => {
            if (!heard.includes(peerId)) return 'unknown';
            return holders.has(peerId) ? 'holds' : 'lacks';
          };
          current = nextPlacement({ current, desired, replicationMin: min, holding: known });
          // Nodes let go of what is not theirs any more, and fetch what another one has.
          for (const peerId of holders) if (!current.includes(peerId)) holders.delete(peerId);
          if (holders.size < Math.min(before, min)) return false;
          if (holders.size > 0 && current.includes(fetches)) holders.add(fetches);
        }
        return true;
      },
    ),
  );
});

import t from 'tap';
import { MostEndangered } from '../../../../src/cluster/reallocation/most-endangered.ts';

t.test('keeps those of lowest rank, in order', async (t) => {
  const kept = new MostEndangered<string>(3);
  for (const [rank, item] of [
    [2, 'c'],
    [1, 'b'],
    [2, 'd'],
  ] as const) {
    kept.add(rank, item);
  }
  t.equal(kept.isFull, false);
  kept.add(0, 'a');
  t.equal(kept.isFull, true);
  t.same([...kept.items()], ['a', 'b', 'c']);
  kept.add(2, 'e');
  t.same([...kept.items()], ['a', 'b', 'c']);
  kept.add(0, 'f');
  kept.add(0, 'g');
  kept.add(0, 'h');
  t.same([...kept.items()], ['a', 'f', 'g']);
});

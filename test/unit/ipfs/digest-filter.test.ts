import t from 'tap';
import { DigestFilter } from '../../../src/ipfs/dag/digest-filter.ts';

const bytes = (n: number) => new TextEncoder().encode(`${n}`);

t.test('what was added is there, and next to nothing else', async (t) => {
  const filter = new DigestFilter();
  t.notOk(filter.mayHave(bytes(0)), 'empty at first');
  const count = 100_000;
  for (let n = 0; n < count; n++) filter.add(bytes(n));
  let missing = 0;
  let mistaken = 0;
  for (let n = 0; n < count; n++) if (!filter.mayHave(bytes(n))) missing++;
  for (let n = count; n < 2 * count; n++) if (filter.mayHave(bytes(n))) mistaken++;
  t.equal(missing, 0);
  t.ok(mistaken < 50, `${mistaken} of ${count} others were taken for one of them`);
});

import t from 'tap';
import { DigestFilter } from '../../../src/ipfs/dag/digest-filter.ts';

const bytes = (n: number) => new TextEncoder().encode(`${n}`);

t.test('what was added is there, and next to nothing else', async (t) => {
  const filter = new DigestFilter();
  const count = 100_000;
  let missing = 0;
  let mistaken = 0;
  for (let n = 0; n < count; n++) if (filter.add(bytes(n))) mistaken++;
  for (let n = 0; n < count; n++) if (!filter.add(bytes(n))) missing++;
  t.equal(missing, 0);
  t.ok(mistaken < 50, `${mistaken} of ${count} were taken for others`);
});

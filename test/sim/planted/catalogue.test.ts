import { readFileSync } from 'node:fs';
import t from 'tap';
import { marksInSources, outOfReach } from '../marks.ts';
import { catalogue } from './catalogue.ts';
import { edited } from './plant.ts';

t.test('every fault of the catalogue can still be planted', async (t) => {
  t.ok(catalogue.length >= 20);
  t.equal(new Set(catalogue.map(({ name }) => name)).size, catalogue.length, 'names are unique');
  for (const { name, edits } of catalogue) {
    const texts = new Map<string, string>();
    for (const edit of edits) {
      const before = texts.get(edit.file) ?? readFileSync(edit.file, 'utf8');
      t.doesNotThrow(() => texts.set(edit.file, edited(edit, before)), name);
      t.not(texts.get(edit.file), before, `${name} changes something`);
    }
  }
});

t.test('what is said to be out of reach are marks that there are', async (t) => {
  const marks = marksInSources();
  for (const name of Object.keys(outOfReach)) t.ok(marks.includes(name), name);
});

import t from 'tap';
import { SortedEntries } from '../../../src/pinset/sorted-entries.ts';
import { fc } from '../../support/fast-check.ts';

function taken(entries: readonly Uint8Array[], runEntries?: number): string[] {
  const sorted = new SortedEntries(runEntries);
  for (const entry of entries) sorted.add(entry);
  const result: string[] = [];
  for (let entry = sorted.take(); entry !== undefined; entry = sorted.take()) {
    result.push(Buffer.from(entry).toString('hex'));
  }
  return result;
}

const inOrder = (entries: readonly Uint8Array[]) =>
  [...entries].sort(Buffer.compare).map((e) => Buffer.from(e).toString('hex'));

// Few values and a common beginning: many agree in their first bytes, end in zeros, or are the beginning of another.
const byte = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(0, 1, 255) }, { weight: 1, arbitrary: fc.nat(255) });
const entry = fc
  .tuple(fc.constantFrom(0, 3, 12), fc.array(byte, { maxLength: 10 }))
  .map(([common, bytes]) => Uint8Array.from([...new Array(common).fill(7), ...bytes]));

t.test('entries are taken in their order', async (t) => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 60 }), fc.constantFrom(1, 4, 60), (entries, runEntries) => {
      t.strictSame(taken(entries, runEntries), inOrder(entries));
    }),
  );
});

t.test('those of a full run keep their places apart', async (t) => {
  const entries = Array.from({ length: 131_073 }, (_, i) => Uint8Array.of((i * 7) & 255, 9, (i * 31) >> 8, i & 255, 4));
  t.strictSame(taken(entries), inOrder(entries));
});

import { hash } from 'node:crypto';
import t from 'tap';
import { DigestSums } from '../../../src/pinset/digest-sums.ts';

/** As docs/protocol.md section 8 says it. */
function rootOf(sums: DigestSums): Uint8Array {
  const hashes = Array.from({ length: 1_024 }, (_, group) => {
    const buckets = Array.from({ length: 64 }, (_, i) => sums.bucket(group * 64 + i));
    return hash('sha256', Buffer.concat(buckets), 'buffer');
  });
  return hash('sha256', Buffer.concat(hashes), 'buffer');
}

t.test('the root is that of all buckets after every change', async (t) => {
  const sums = new DigestSums();
  const rowHash = hash('sha256', 'a row', 'buffer').subarray(0, 16);
  const roots = [sums.root()];
  for (const change of [
    () => sums.add(0, rowHash),
    () => sums.add(65_535, rowHash),
    () => sums.add(0, rowHash),
    () => sums.subtract(65_535, rowHash),
  ]) {
    change();
    t.same(sums.root(), rootOf(sums));
    roots.push(sums.root());
  }
  t.equal(new Set(roots.map((root) => Buffer.from(root).toString('hex'))).size, 5, 'each is another');
  t.same(sums.copy().root(), sums.root());
  sums.clear();
  t.same(sums.root(), roots[0]);
});

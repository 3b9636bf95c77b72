import t from 'tap';
import { type FileResult, TapReport } from '../../../scripts/tap-report.ts';

function read(tap: string): FileResult[] {
  const results: FileResult[] = [];
  const report = new TapReport((result) => results.push(result));
  for (const line of tap.split('\n')) report.push(line);
  return results;
}

const counts = (tap: string) =>
  read(tap).map(({ file, passed, failed, skipped }) => ({ file, passed, failed, skipped }));

t.test('counts the direct children of each file', async (t) => {
  const tap = `TAP version 14
# Subtest: test/a.test.ts
    # Subtest: one
        ok 1 - inner
        not ok 2 - inner
        1..2
    not ok 1 - one # time=1ms
    ok 2 - two
    ok 3
    1..3
not ok 1 - test/a.test.ts # time=65.8ms
# Subtest: test/b.test.ts
    ok 1 - only # SKIP no Python here
    1..1
ok 2 - test/b.test.ts # time=3ms
1..2`;
  t.strictSame(counts(tap), [
    { file: 'test/a.test.ts', passed: 2, failed: 1, skipped: [] },
    { file: 'test/b.test.ts', passed: 0, failed: 0, skipped: ['only: no Python here'] },
  ]);
});

t.test('a file that crashed or held no test has failed', async (t) => {
  t.match(counts('# Subtest: x\n    1..0 # no tests found\nnot ok 1 - x # time=5ms'), [
    { file: 'x', passed: 0, failed: 1 },
  ]);
});

t.test('a crash after good tests is a failure too', async (t) => {
  t.match(counts('    ok 1 - a\n    1..1\nnot ok 1 - x # time=5ms'), [{ passed: 1, failed: 1 }]);
});

t.test('a file that is skipped as a whole is said with its reason', async (t) => {
  t.match(counts('ok 1 - x # SKIP no Go'), [{ file: 'x', passed: 0, failed: 0, skipped: ['x: no Go'] }]);
});

t.test('what a diagnosis quotes is not counted', async (t) => {
  const tap = `    not ok 1 - a
      ---
      diff: |
    ok 1 - quoted
not ok 9 - quoted
      ...
    ok 2 - b
not ok 1 - x`;
  t.match(counts(tap), [{ file: 'x', passed: 1, failed: 1, skipped: [] }]);
  t.equal(counts(tap).length, 1);
});

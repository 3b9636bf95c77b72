import { readFileSync } from 'node:fs';
import t from 'tap';

interface Manifest {
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
}

/** Names in code type in the first column of the tables. */
function documented(markdown: string): string[] {
  const firstColumns = markdown
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|')[1] ?? '');
  return firstColumns.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] as string));
}

t.test('docs/dependencies.md has every direct dependency, once, and no other', async (t) => {
  const { dependencies, devDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest;
  const declared = [...Object.keys(dependencies), ...Object.keys(devDependencies)];
  t.ok(declared.length > 10);
  t.strictSame(documented(readFileSync('docs/dependencies.md', 'utf8')).sort(), declared.sort());
});

t.test('versions are exact, and lmdb is the one whose insides are used', async (t) => {
  const { dependencies, devDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest;
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
    t.match(version, /^\d+\.\d+\.\d+$/, name);
  }
  const lmdb = dependencies.lmdb ?? '';
  t.match(readFileSync('docs/dependencies.md', 'utf8'), `**${lmdb}**`);
  t.match(readFileSync('src/storage/lmdb/native.ts', 'utf8'), `lmdb ${lmdb}`);
});

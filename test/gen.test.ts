import { readFileSync } from 'node:fs';
import t from 'tap';
import { generatedDocuments } from '../scripts/documents.ts';
import { compareGenerated } from '../scripts/generated.ts';

t.test('gen/ is what buf generates from proto/', async (t) => {
  t.strictSame(compareGenerated(), [], 'run: npm run gen');
});

t.test('documents made from the code are current', async (t) => {
  for (const [path, text] of Object.entries(generatedDocuments())) {
    t.equal(readFileSync(path, 'utf8'), text, `${path}: run npm run gen`);
  }
});

t.test('package-lock.json names the native packages of every platform, without which npm ci refuses it', async (t) => {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, { optionalDependencies?: Record<string, string> }>;
  };
  const missing = Object.entries(packages).flatMap(([parent, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter(
      (name) => !(`${parent}/node_modules/${name}` in packages) && !(`node_modules/${name}` in packages),
    ),
  );
  t.strictSame(missing, [], 'run: node scripts/complete-lockfile.mjs');
});

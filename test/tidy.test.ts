import { readFileSync } from 'node:fs';
import t from 'tap';
import { mayImport } from '../scripts/layers.ts';
import { parseSource, problemsOf, readSources } from '../scripts/tidy.ts';

/** A file may be as long as this. Longer ones stand below with what they may not exceed. */
const linesMax = 400;
const longer: Readonly<Record<string, number>> = { 'src/monitor/gossip-monitor.ts': 540 };

const sources = readSources(['src/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts', 'scripts/**/*.{ts,mjs}', 'bin/*.mjs']);

t.test('the code follows the rules of the house', async (t) => {
  t.ok(sources.length > 50, 'the sources were found');
  t.strictSame(sources.flatMap(problemsOf), []);
});

t.test('no file of src/ grows long', async (t) => {
  const tooLong = sources
    .filter(({ path }) => path.startsWith('src/'))
    .filter(({ path, lines }) => lines.length - 1 > (longer[path] ?? linesMax))
    .map(({ path, lines }) => `${path}: ${lines.length - 1} lines`);
  t.strictSame(tooLong, []);
  for (const path of Object.keys(longer)) {
    const length = (sources.find((source) => source.path === path)?.lines.length ?? 0) - 1;
    t.ok(length > linesMax, `${path} is short enough now: take it off the list`);
  }
});

t.test('every folder of src/ has its place in the layers', async (t) => {
  const folders = new Set(
    sources
      .map(({ path }) => path.split('/'))
      .filter(([top]) => top === 'src')
      .map(([, folder]) => folder),
  );
  t.strictSame(
    [...folders].filter((folder) => folder === undefined || !(folder in mayImport)),
    [],
  );
});

t.test('biome.json says the same about imports as scripts/layers.ts', async (t) => {
  const { overrides } = JSON.parse(readFileSync('biome.json', 'utf8')) as { overrides: BiomeOverride[] };
  const modules = Object.keys(mayImport);
  for (const [module, allowed] of Object.entries(mayImport)) {
    const forbidden = modules.filter((other) => other !== module && !allowed.includes(other));
    if (forbidden.length === 0) continue;
    const rules = overrides.find(({ includes }) => includes.includes(`src/${module}/**`))?.linter.rules;
    const groups = rules?.style?.noRestrictedImports?.options.patterns.flatMap(({ group }) => group);
    t.strictSame(
      groups,
      forbidden.map((other) => `../**/${other}/**`),
      module,
    );
  }
});

t.test('a file of proto is in the package that its folder says', async (t) => {
  const protos = readSources(['proto/**/*.proto']);
  t.ok(protos.length > 0);
  for (const { path, lines } of protos) {
    const name = path.split('/').slice(1, -1).join('.');
    t.ok(lines.includes(`package ${name};`), `${path}: package ${name}`);
  }
});

/** The rules themselves can fail. */
const planted: Record<string, [path: string, text: string, says: RegExp | undefined]> = {
  'wall clock': ['src/tracker/x.ts', 'const a = Date.now();', /use a Clock/],
  'wall clock where it belongs': ['src/runtime/x.ts', 'const a = Date.now();', undefined],
  'a word in a comment': ['src/tracker/x.ts', "// not Date.now()\nconst a = 'setTimeout(';", undefined],
  'a global timer': ['src/cluster/x.ts', 'setTimeout(() => {}, 1);', /use Timers/],
  'a method of that name': ['src/cluster/x.ts', 't.setTimeout(1);', undefined],
  'the environment': ['src/api/x.ts', 'process.env.X', /hands over/],
  'AbortSignal.timeout': ['src/consensus/x.ts', 'AbortSignal.timeout(1)', /deadlineSignal/],
  'a file system above the seams': [
    'src/pinset/x.ts',
    "import { open } from 'node:fs/promises';",
    /not above the seams/,
  ],
  'a file system below them': ['src/storage/x.ts', "import { open } from 'node:fs/promises';", undefined],
  'a thread': ['src/allocator/x.ts', "import { Worker } from 'node:worker_threads';", /not above the seams/],
  'a default export': ['test/x.ts', 'export default 1;', /named export/],
  'a sibling': [
    'src/tracker/a/x.ts',
    "import type { A } from '../../allocator/a.ts';",
    /tracker may not import allocator/,
  ],
  'a sibling over several lines': [
    'src/tracker/x.ts',
    "import {\n  a,\n  b,\n} from '../monitor/a.ts';",
    /may not import monitor/,
  ],
  'a sibling at run time': ['src/tracker/x.ts', "await import('../monitor/a.ts');", /may not import monitor/],
  'a sibling passed on': ['src/tracker/x.ts', "export type { A } from '../monitor/a.ts';", /may not import monitor/],
  'what lies above': ['src/model/x.ts', "import { a } from '../runtime/a.ts';", /model may not import runtime/],
  'what lies below': ['src/cluster/x.ts', "import { a } from '../model/a.ts';", undefined],
  'a module of its own': ['src/cluster/x.ts', "import { a } from './a.ts';", undefined],
  'generated code': ['src/network/x.ts', "import { a } from '../../gen/a.ts';", undefined],
  'a test': ['src/network/x.ts', "import { a } from '../../test/a.ts';", /nothing outside/],
  'no ending': ['src/network/x.ts', "import { a } from './a';", /end in \.ts/],
  'unfinished work': ['src/network/x.ts', `// ${'TO'}${'DO'}: later`, /does not belong here/],
};
for (const [name, [path, text, says]] of Object.entries(planted)) {
  t.test(`planted: ${name}`, async (t) => {
    const problems = problemsOf(parseSource(path, text));
    if (says === undefined) t.strictSame(problems, []);
    else t.match(problems, [says]);
  });
}

interface BiomeOverride {
  includes: string[];
  linter: { rules: { style?: { noRestrictedImports?: { options: { patterns: { group: string[] }[] } } } } };
}

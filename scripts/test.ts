/**
 * Runs the tests with tap, shows what fails, and closes with one line of counts. Fails when a test fails or none ran;
 * with CI=true also when one was skipped.
 *
 *   node scripts/test.ts fast|all|long [PATH...]      only the files under the given paths
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve as resolvePath } from 'node:path';
import { createInterface } from 'node:readline';
import { prepareKubo } from './kubo.ts';
import { type FileResult, TapReport } from './tap-report.ts';

/** Which files belong to a run, how long one file may take, in seconds, and which seed random tests have (a new one without). */
const runs: Record<string, { patterns: string[]; fileTimeoutS: number; env?: Record<string, string> }> = {
  fast: {
    patterns: ['test/*.test.ts', 'test/unit/**/*.test.ts', 'test/scenarios/**/*.test.ts'],
    fileTimeoutS: 60,
    env: { FC_SEED: '1' },
  },
  all: { patterns: ['test/**/*.test.ts'], fileTimeoutS: 300, env: { FC_SEED: '1' } },
  long: { patterns: ['test/**/*.test.ts'], fileTimeoutS: 3600, env: { TEST_LONG: '1' } },
};

/** Those with a real Kubo are named for it. */
const kuboFiles = /^test\/(stack|e2e)\/kubo-/;

const tap = 'node_modules/.bin/tap';
const tapBuilt = 'node_modules/.pinfold-tap-built';
/** Compiled modules, for the many processes of a run: a third of the start of each. */
const compileCache = 'node_modules/.cache/pinfold-compile';

await main();

async function main(): Promise<void> {
  const [name = 'all', ...paths] = process.argv.slice(2);
  const run = runs[name];
  if (run === undefined) return fail(`no such run: ${name}; there are ${Object.keys(runs).join(', ')}`);
  const files = globSync(run.patterns)
    .sort()
    .filter((file) => isWanted(file, paths));
  if (files.length === 0) return fail('no test file matches');
  buildTap();
  // Before the files begin: a build takes longer than a file may. Without Kubo its tests report themselves as not run.
  if (files.some((file) => kuboFiles.test(file))) prepareKubo((line) => console.error(line));
  const results: FileResult[] = [];
  const exitCode = await runTap(files, run.fileTimeoutS, run.env ?? {}, (result) => {
    results.push(result);
    show(result);
  });
  conclude(files, results, exitCode);
}

function isWanted(file: string, paths: string[]): boolean {
  return paths.length === 0 || paths.some((path) => file.startsWith(path.replace(/^\.\//, '')));
}

/** tap builds its test class for the plugins in .taprc; a first run that does this itself still uses the old ones. */
function buildTap(): void {
  const config = readFileSync('.taprc', 'utf8');
  if (existsSync(tapBuilt) && readFileSync(tapBuilt, 'utf8') === config) return;
  const { status } = spawnSync(process.execPath, [tap, 'build'], { stdio: ['ignore', 'ignore', 'inherit'] });
  if (status === 0) writeFileSync(tapBuilt, config);
}

function runTap(
  files: string[],
  fileTimeoutS: number,
  env: Record<string, string>,
  onFile: (result: FileResult) => void,
): Promise<number> {
  const args = [tap, '--reporter=tap', `--timeout=${fileTimeoutS}`, ...files];
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { NODE_COMPILE_CACHE: resolvePath(compileCache), ...env, ...process.env },
  });
  const report = new TapReport(onFile);
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => report.push(line));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });
}

function show({ file, passed, failed, skipped, tap }: FileResult): void {
  const counts = [`${passed} passed`];
  if (failed > 0) counts.push(`${failed} failed`);
  if (skipped.length > 0) counts.push(`${skipped.length} skipped`);
  console.log(`${failed > 0 ? 'FAIL' : 'ok  '}  ${file}  (${counts.join(', ')})`);
  if (failed > 0) console.log(tap.map((line) => `      ${line}`).join('\n'));
}

function conclude(files: string[], results: FileResult[], exitCode: number): void {
  const passed = sum(results.map((result) => result.passed));
  const failedTests = sum(results.map((result) => result.failed));
  const lost = files.length - results.length;
  const unexplained = exitCode !== 0 && failedTests === 0 ? 1 : 0;
  const failed = failedTests + Math.max(lost, unexplained);
  const skipped = results.flatMap((result) => result.skipped.map((text) => `${result.file}: ${text}`));

  console.log('');
  if (lost > 0) console.log(`${lost} test files did not report a result`);
  if (skipped.length > 0) console.log(`Not run:\n${skipped.map((text) => `  ${text}`).join('\n')}`);
  const strict = process.env.CI === 'true';
  if (strict && skipped.length > 0) console.log('CI runs every test: a skipped one is a failure here.');
  if (failed > 0)
    console.log(
      `Failed: ${results
        .filter((result) => result.failed > 0)
        .map((result) => result.file)
        .join(', ')}`,
    );
  console.log(`${passed} passed, ${failed} failed, ${skipped.length} skipped`);
  if (failed > 0 || passed === 0 || (strict && skipped.length > 0)) process.exitCode = 1;
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function fail(message: string): void {
  console.error(message);
  console.log('0 passed, 1 failed, 0 skipped');
  process.exitCode = 1;
}

/** Types, lint and format, schemas, and whether gen/ is current: everything that can be said without running the code. */
import { spawnSync } from 'node:child_process';
import { compareGenerated } from './generated.ts';

const steps: { name: string; command: string; args: string[] }[] = [
  { name: 'types', command: 'tsc', args: ['-p', '.'] },
  { name: 'lint and format', command: 'biome', args: ['check', '--error-on-warnings', '.'] },
  { name: 'schemas', command: 'buf', args: ['lint'] },
];

const failed: string[] = [];
for (const { name, command, args } of steps) {
  console.log(`check: ${name}`);
  const { status } = spawnSync(`node_modules/.bin/${command}`, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) failed.push(name);
}

console.log('check: generated code');
const differences = compareGenerated();
if (differences.length > 0) {
  console.error(`gen/ is stale (run: npm run gen): ${differences.join(', ')}`);
  failed.push('generated code');
}

console.log(failed.length === 0 ? 'check: all is well' : `check: failed: ${failed.join(', ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;

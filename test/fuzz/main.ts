/** The fuzzer at the command line (CONTRIBUTING.md). */
import { parseArgs } from 'node:util';
import { runSeed } from './run-target.ts';
import { type TargetName, targets } from './targets/targets.ts';

const help = `Feeds what takes in what strangers send with random input, one a seed, until the time is over or a promise is broken.

  npm run fuzz                               every target, together for a minute
  npm run fuzz -- --target car --seconds 600
  npm run fuzz -- --target car --seed 42     one input again

Targets:
${Object.entries(targets)
  .map(([name, { says }]) => `  ${name.padEnd(5)} ${says}`)
  .join('\n')}`;

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
    target: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

if (values.help) console.log(help);
else process.exitCode = (await main()) ? 0 : 1;

async function main(): Promise<boolean> {
  const names = values.target === undefined ? (Object.keys(targets) as TargetName[]) : [named(values.target)];
  const seed = values.seed === undefined ? undefined : number(values.seed);
  const forMs = (number(values.seconds) * 1000) / names.length;
  for (const name of names) if (!(await runTarget(name, seed, forMs))) return false;
  return true;
}

async function runTarget(name: TargetName, only: number | undefined, forMs: number): Promise<boolean> {
  const first = only ?? Date.now() % 1_000_000_000;
  const endMs = performance.now() + forMs;
  const counts = { taken: 0, refused: 0 };
  let seed = first;
  try {
    do counts[await runSeed(name, seed++)]++;
    while (only === undefined && performance.now() < endMs);
  } catch (failure) {
    console.error((failure as Error).message);
    console.error((failure as Error).cause);
    return false;
  }
  console.log(`${name}: seeds ${first}..${seed - 1}, ${counts.taken} taken, ${counts.refused} refused`);
  return true;
}

function named(name: string): TargetName {
  if (name in targets) return name as TargetName;
  throw new Error(`there is no target ${name}; there are ${Object.keys(targets).join(', ')}`);
}

function number(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`${text} is not a number of them`);
  return value;
}

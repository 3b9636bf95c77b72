/**
 * The simulator at the command line (docs/simulation.md).
 *
 *   npm run sim -- --seed N [--profile NAME] [--drop 3,7,9-12] [--trace] [--log]
 *   npm run sim -- --seeds A..B [--profile NAME] [--workers N] [--keep-going]
 *   npm run sim -- --planted [--only NAME]
 *   npm run sim:soak
 */
import { parseArgs } from 'node:util';
import { parseIds } from './id-ranges.ts';
import { type ProfileName, profiles } from './plan/profiles.ts';
import { runPlanted } from './planted/run-planted.ts';
import { replay } from './replay.ts';
import { sweep } from './sweep.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    profile: { type: 'string' },
    drop: { type: 'string', default: '' },
    trace: { type: 'boolean', default: false },
    log: { type: 'boolean', default: false },
    workers: { type: 'string' },
    'keep-going': { type: 'boolean', default: false },
    'no-shrink': { type: 'boolean', default: false },
    soak: { type: 'boolean', default: false },
    planted: { type: 'boolean', default: false },
    only: { type: 'string' },
  },
});

process.exitCode = (await main()) ? 0 : 1;

async function main(): Promise<boolean> {
  const profile = profileNamed(values.profile);
  const workers = values.workers === undefined ? {} : { workers: Number(values.workers) };
  if (values.planted) return runPlanted({ only: values.only, ...workers });
  if (values.seed !== undefined) {
    return replay({
      seed: number(values.seed),
      profile,
      dropped: parseIds(values.drop),
      isTraceShown: values.trace || values.log,
      isLogShown: values.log,
    });
  }
  const [from, to] = values.soak
    ? [Date.now() % 1_000_000_000, Number.POSITIVE_INFINITY]
    : rangeOf(values.seeds ?? '1..200');
  const isKeptGoing = values['keep-going'];
  return sweep({ from, to, profile, isKeptGoing, isShrunk: !values['no-shrink'], ...workers });
}

function profileNamed(name: string | undefined): ProfileName | undefined {
  if (name === undefined || name in profiles) return name as ProfileName | undefined;
  const list = Object.entries(profiles).map(([known, { says }]) => `  ${known.padEnd(8)} ${says}`);
  throw new Error(`there is no profile ${name}; there are\n${list.join('\n')}`);
}

function rangeOf(text: string): [number, number] {
  const [from, to] = text.split('..').map(number) as [number, number?];
  return [from, to ?? from];
}

function number(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`${text} is not a seed`);
  return value;
}

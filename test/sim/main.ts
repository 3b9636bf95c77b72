/** The simulator at the command line (docs/simulation.md). */
import { parseArgs } from 'node:util';
import { parseIds } from './id-ranges.ts';
import { type ProfileName, profiles } from './plan/profiles.ts';
import { runPlanted } from './planted/run-planted.ts';
import { replay } from './replay.ts';
import { sweep } from './sweep.ts';

const help = `Runs clusters with faults on a virtual clock, one world a seed, and checks every promise in each.

  npm run sim                                  seeds 1 to 200
  npm run sim -- --seeds 5001..5300            those, and ends at the first that fails
  npm run sim -- --seeds 1..400 --profile forks --keep-going
  npm run sim -- --seed 42 --trace             one world, with its story
  npm run sim -- --seed 42 --drop 3,7,9-12     without some of its events
  npm run sim -- --planted                     every planted fault, until it is found
  npm run sim -- --planted --only NAME         that one
  npm run sim:soak                             random seeds until Ctrl-C

  --profile NAME  what may happen in a world (by seed)
  --workers N     worlds at once (the processors)
  --keep-going    goes on behind a seed that fails
  --no-shrink     does not look for the fewest events that still fail
  --log           with --seed: what the peers log, too

Profiles:
${profileList()}
Exits with 1 when a promise is broken, or a planted fault is not found.`;

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
    help: { type: 'boolean', short: 'h', default: false },
  },
});

if (values.help) console.log(help);
else process.exitCode = (await main()) ? 0 : 1;

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
  throw new Error(`there is no profile ${name}; there are\n${profileList()}`);
}

function profileList(): string {
  const list = Object.entries(profiles).map(([known, { says }]) => `  ${known.padEnd(9)} ${says}`);
  return list.join('\n');
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

/** Explores the core of the CRDT breadth first: see docs/exploration.md. */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { faults } from './faults.ts';
import type { Job, JobResult } from './search/job.ts';
import { runInThreads } from './search/run-in-thread.ts';
import { slices } from './slices.ts';

const help = `Runs the core of the CRDT through every state of small worlds, and checks every invariant in each.

  npm run explore                            every slice, to 200,000 states each
  npm run explore -- causal crashes          those slices
  npm run explore -- causal --states 1e6     to so many states; a slice that has fewer is seen whole
  npm run explore -- --faults                every planted fault, and the shortest way to what it breaks
  npm run explore -- --faults log-hole       that fault, with the story of what happens

  --states N   where a slice ends, at the end of a depth (200,000; for faults 3,000,000)
  --heal N     heals one state in so many; 1: each (as the slice says)
  --seed N     of the random walks of the slice walks (1); --states ends them
  --jobs N     searches at once, each with a thread (half of the processors)
  --stories    tells the story of every fault that is found
  --list       the slices and the faults there are

Slices: ${Object.keys(slices).join(', ')}.
Exits with 1 when an invariant is broken, or a planted fault is not found.`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    faults: { type: 'boolean' },
    states: { type: 'string' },
    heal: { type: 'string' },
    jobs: { type: 'string' },
    seed: { type: 'string' },
    stories: { type: 'boolean' },
    list: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
});

if (values.help) console.log(help);
else if (values.list) list();
else if (values.faults) await exploreFaults();
else await exploreSlices();

function list(): void {
  for (const [name, { about }] of Object.entries(slices)) console.log(row([name, 24]) + about);
  console.log('');
  for (const [name, { does, breaks }] of Object.entries(faults)) console.log(row([name, 24], [breaks, 10]) + does);
}

async function exploreSlices(): Promise<void> {
  const jobs = jobsOf('slice', Object.keys(slices), 200_000);
  console.log(
    row(
      ['slice', 14],
      ['states', -10],
      ['steps', -11],
      ['depth', -10],
      ['healed', -9],
      ['cpu s', -7],
      ['states/s', -10],
    ),
  );
  for await (const result of runInThreads(jobs, atOnce())) {
    const { name, states, transitions, depth, isWhole, healed, seconds } = result;
    console.log(
      row(
        [name, 14],
        [figure(states), -10],
        [figure(transitions), -11],
        [seenText(name, isWhole, depth), -10],
        [figure(healed), -9],
        [seconds.toFixed(1), -7],
        [figure(states / seconds), -10],
      ),
    );
    if (result.found !== undefined) broken(result);
  }
}

function seenText(name: string, isWhole: boolean, depth: number): string {
  if (name === 'walks') return `up to ${depth}`;
  return isWhole ? `all, ${depth}` : `to ${depth}`;
}

function broken({ found, story }: JobResult): void {
  console.log(`  BROKEN  ${found?.problem}\n${story.join('\n')}`);
  process.exitCode = 1;
}

async function exploreFaults(): Promise<void> {
  const jobs = jobsOf('fault', Object.keys(faults), 3_000_000);
  console.log(row(['fault', 24], ['breaks', 8], ['steps', -6], ['states', -10], ['cpu s', -7]));
  for await (const result of runInThreads(jobs, atOnce()))
    showFault(result, jobs.length === 1 || values.stories === true);
}

function showFault({ name, found, states, seconds, story }: JobResult, isTold: boolean): void {
  const { breaks } = faults[name as keyof typeof faults];
  const invariant = found?.problem.split(':')[0] ?? '-';
  const steps = String(found?.path.length ?? '-');
  console.log(row([name, 24], [invariant, 8], [steps, -6], [figure(states), -10], [seconds.toFixed(1), -7]));
  const isExpected = breaks.split(' ').includes(invariant);
  if (!isExpected) console.log(`  NOT FOUND  it should break ${breaks}`);
  if (!isExpected) process.exitCode = 1;
  if (found !== undefined && (isTold || !isExpected)) console.log(`${story.join('\n')}\n     ${found.problem}`);
}

function jobsOf(kind: Job['kind'], known: readonly string[], statesMax: number): Job[] {
  const unknown = positionals.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`no such ${kind}: ${unknown}; there are ${known.join(', ')}`);
  return (positionals.length > 0 ? positionals : known).map((name) => ({
    kind,
    name,
    statesMax: number('states') ?? statesMax,
    ...(values.heal === undefined ? {} : { healEvery: number('heal') as number }),
    ...(values.seed === undefined ? {} : { seed: number('seed') as number }),
  }));
}

function atOnce(): number {
  return number('jobs') ?? Math.max(1, availableParallelism() >> 1);
}

function number(option: 'states' | 'heal' | 'jobs' | 'seed'): number | undefined {
  const text = values[option];
  if (text === undefined) return undefined;
  const given = Number(text);
  if (!Number.isInteger(given) || given < 1) throw new Error(`--${option} ${text} is not a number above 0`);
  return given;
}

function figure(n: number): string {
  return Math.round(n).toLocaleString('en');
}

/** Columns: negative widths align right. */
function row(...columns: readonly (readonly [string, number])[]): string {
  return columns.map(([text, width]) => (width < 0 ? text.padStart(-width) : text.padEnd(width))).join('');
}

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { add } from './add.ts';
import { allocator } from './allocator.ts';
import { catchUp } from './catch-up.ts';
import { Figures } from './figures.ts';
import { history } from './history.ts';
import { idle } from './idle.ts';
import { join as joinBench } from './join.ts';
import { list } from './list.ts';
import { memory } from './memory.ts';
import { endAll } from './processes.ts';
import { replicate } from './replicate.ts';
import { status } from './status.ts';
import { tracker } from './tracker.ts';
import { loadNow } from './usage.ts';
import { watch } from './watch.ts';
import { write } from './write.ts';

const benchmarks = {
  write,
  join: joinBench,
  replicate,
  list,
  memory,
  watch,
  history,
  'catch-up': catchUp,
  idle,
  tracker,
  allocator,
  status,
  add,
};

export interface BenchContext {
  figures: Figures;
  /** A folder of its own, on the disk that is measured. */
  root: string;
  /** Pins of a full-size run. */
  pins: number;
}

const help = `Measures, each time beside what it is held against. docs/performance.md explains the figures.

  npm run bench                             all of it, at full size (over an hour)
  npm run bench -- write status             those
  npm run bench -- status --pins=50000      smaller
  npm run bench -- write --json             figures for programs

Benchmarks: ${Object.keys(benchmarks).join(', ')}.`;

const args = process.argv.slice(2);
if (args.includes('--help') || args.includes('-h')) {
  console.log(help);
  process.exit(0);
}
const names = args.filter((arg) => !arg.startsWith('--'));
const unknown = names.filter((name) => !(name in benchmarks));
if (unknown.length > 0) {
  console.error(`no benchmark ${unknown.join(', ')}; there are ${Object.keys(benchmarks).join(', ')}`);
  process.exit(2);
}
const figures = new Figures(args.includes('--json'));
const pins = Number(args.find((arg) => arg.startsWith('--pins='))?.slice('--pins='.length) ?? 1_000_000);
const roots: string[] = [];

async function cleanUp(): Promise<void> {
  await endAll();
  for (const root of roots.splice(0)) await rm(root, { recursive: true, force: true });
}

let stopping: Promise<void> | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    stopping ??= cleanUp().finally(() => process.exit(130));
  });
}
for (const [name, run] of Object.entries(benchmarks)) {
  if (names.length > 0 && !names.includes(name)) continue;
  const root = await mkdtemp(join(tmpdir(), `pinfold-bench-${name}-`));
  roots.push(root);
  figures.progress(`${name}: ${pins} pins in ${root}; ${loadNow()}`);
  try {
    await run({ figures, root, pins });
  } finally {
    await (stopping ?? cleanUp());
  }
}
figures.print();

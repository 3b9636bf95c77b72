import { type FaultName, faults, type Patch } from '../faults.ts';
import { plant } from '../planted.ts';
import { type Slice, type SliceName, slices } from '../slices.ts';
import { World } from '../world/world.ts';
import { type Searched, search } from './search.ts';
import { story } from './story.ts';
import { walk } from './walk.ts';

/** A search that a thread of its own does. */
export interface Job {
  readonly kind: 'slice' | 'fault';
  readonly name: string;
  readonly statesMax: number;
  /** Instead of the slice's own. */
  readonly healEvery?: number;
  /** Of random walks. */
  readonly seed?: number;
}

export interface JobResult extends Searched {
  readonly name: string;
  /** Of the thread's processor: what a machine that does other things besides cannot spoil. */
  readonly seconds: number;
  /** What was found, step by step. */
  readonly story: readonly string[];
}

export function patchesOf({ kind, name }: Job): readonly Patch[] {
  return kind === 'fault' ? faults[name as FaultName].patches : [];
}

export function runJob(job: Job): JobResult {
  const slice: Slice = job.kind === 'slice' ? slices[job.name as SliceName] : planted(job.name as FaultName);
  const world = new World(slice.bounds);
  const before = process.threadCpuUsage();
  const { statesMax, healEvery = slice.healEvery, seed = 1 } = job;
  const searched = slice.isWalked
    ? walk({ world, seed, stepsMax: statesMax })
    : search({ world, statesMax, healEvery });
  const { user, system } = process.threadCpuUsage(before);
  const seconds = (user + system) / 1e6;
  const told = searched.found === undefined ? [] : story(world, searched.found);
  return { ...searched, name: job.name, seconds, story: told };
}

function planted(name: FaultName): Slice {
  plant(name);
  const { does, bounds } = faults[name];
  return { about: does, bounds, healEvery: 1 };
}

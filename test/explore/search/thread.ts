import { registerHooks } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';
import type { Patch } from '../faults.ts';
import type { Job, JobResult } from './job.ts';
import { patched } from './patched.ts';

export interface ThreadData {
  readonly job: Job;
  readonly patches: readonly Patch[];
}

const { job, patches } = workerData as ThreadData;

/** The core's sources are changed as this thread loads them, and nowhere else. */
const applied = new Set<Patch>();
registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    const mine = patches.filter(({ file }) => url.endsWith(`/src/consensus/crdt/core/${file}`));
    if (mine.length === 0) return loaded;
    const source = mine.reduce(patched, String(loaded.source));
    for (const patch of mine) applied.add(patch);
    return { ...loaded, source };
  },
});

const { runJob } = (await import('./job.ts')) as { runJob(job: Job): JobResult };
for (const patch of patches) {
  if (!applied.has(patch)) throw new Error(`${patch.file}: the explorer does not load it`);
}
parentPort?.postMessage(runJob(job));

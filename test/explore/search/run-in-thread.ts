import { Worker } from 'node:worker_threads';
import { type Job, type JobResult, patchesOf } from './job.ts';

/** Each search has a thread of its own: what it computed goes with it, and what is planted there is nowhere else. */
export function runInThread(job: Job, patches = patchesOf(job)): Promise<JobResult> {
  const worker = new Worker(new URL('./thread.ts', import.meta.url), {
    workerData: { job, patches },
    resourceLimits: { maxOldGenerationSizeMb: 6 * 1024 },
  });
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`the thread ended with ${code}`)));
  });
}

/** Runs jobs, so many at once, and hands out each result in the order of the jobs. */
export async function* runInThreads(jobs: readonly Job[], atOnce: number): AsyncGenerator<JobResult> {
  const running: Promise<JobResult>[] = [];
  let next = 0;
  for (const _ of jobs) {
    while (next < jobs.length && running.length < atOnce) {
      const run = runInThread(jobs[next++] as Job);
      run.catch(() => {}); // Thrown when its turn comes.
      running.push(run);
    }
    yield await (running.shift() as Promise<JobResult>);
  }
}

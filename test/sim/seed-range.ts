import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { ProfileName } from './plan/profiles.ts';
import type { Answer, Job } from './worker.ts';

export interface SeedRange {
  readonly from: number;
  /** Included; Infinity: until stopped. */
  readonly to: number;
  readonly profile: ProfileName | undefined;
  /** Worker processes. Default: one a core. */
  readonly workers?: number;
  /** Folder of worker.ts. Default: here; the planted faults have a copy. */
  readonly folder?: string;
  /** Called for each seed; `stop`: no further ones. */
  onResult(answer: Answer): 'go on' | 'stop';
}

/** A world that takes longer than this goes round in promises without end. */
const seedTimeoutMs = 180_000;

/** Runs seeds on all cores, in order of their numbers as they become free. */
export async function runSeeds(range: SeedRange): Promise<void> {
  let next = range.from;
  let isStopped = false;
  const take = () => (isStopped || next > range.to ? undefined : next++);
  const workers = Math.min(range.workers ?? availableParallelism(), range.to - range.from + 1);
  await Promise.all(Array.from({ length: workers }, () => work(range, take, () => (isStopped = true))));
}

async function work(range: SeedRange, take: () => number | undefined, stop: () => void): Promise<void> {
  let worker: ChildProcess | undefined;
  try {
    for (let seed = take(); seed !== undefined; seed = take()) {
      worker ??= fork(join(range.folder ?? import.meta.dirname, 'worker.ts'), {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      });
      const answer = await ask(worker, { seed, profile: range.profile });
      if (answer.isWorkerLost) worker = undefined;
      if (range.onResult(answer.result) === 'stop') stop();
    }
  } finally {
    worker?.kill();
  }
}

function ask(worker: ChildProcess, job: Job): Promise<{ result: Answer; isWorkerLost: boolean }> {
  return new Promise((resolve) => {
    const done = (result: Answer, isWorkerLost: boolean) => {
      clearTimeout(timer);
      worker.removeAllListeners();
      if (isWorkerLost) worker.kill('SIGKILL');
      resolve({ result, isWorkerLost });
    };
    const timer = setTimeout(() => done(lost(job, `no end within ${seedTimeoutMs / 1000} s`), true), seedTimeoutMs);
    worker.on('message', (answer: Answer) => done(answer, false));
    worker.on('exit', (code, signal) => done(lost(job, `the worker ended: ${code ?? signal}`), true));
    worker.send(job);
  });
}

function lost({ seed, profile }: Job, message: string): Answer {
  return {
    seed,
    profile: profile ?? '?',
    traceHash: '',
    virtualMs: 0,
    events: 0,
    acknowledged: 0,
    marks: {},
    cpuMs: 0,
    failure: { invariant: 'CRASH', message },
  };
}

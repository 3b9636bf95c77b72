import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { cpuSecondsOf } from './usage.ts';

const path = (script: string) => fileURLToPath(new URL(script, import.meta.url));

/** What must not outlive the benchmarks, whatever happens to them. */
const running = new Set<() => unknown>();

/** Has `end` called when the benchmarks are over, also after a failure; the answer takes that back. */
export function endsWithBench(end: () => unknown): () => void {
  running.add(end);
  return () => running.delete(end);
}

export async function endAll(): Promise<void> {
  await Promise.allSettled([...running].map((end) => end()));
  running.clear();
}

/** Runs a script of this folder to its end and gives the JSON of its last line. */
export async function runScript<T>(script: string, args: readonly string[]): Promise<T> {
  const { child, ended } = spawned(script, args);
  let last = '';
  for await (const line of createInterface({ input: child.stdout as NonNullable<typeof child.stdout> })) last = line;
  const code = await ended;
  if (code !== 0) throw new Error(`${script} ended with ${code}`);
  return JSON.parse(last) as T;
}

export interface StartedScript {
  /** What it printed when it was ready. */
  line: string;
  /** What it printed last. */
  last(): string;
  /** Seconds of processor time so far, all threads. */
  cpuSeconds(): number;
  /** Resolves when it has ended by itself; rejects when it has failed. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

/** Starts a script of this folder that prints a line when it is ready. */
export async function startScript(script: string, args: readonly string[]): Promise<StartedScript> {
  const { child, ended } = spawned(script, args);
  const ready = Promise.withResolvers<string>();
  let last = '';
  createInterface({ input: child.stdout as NonNullable<typeof child.stdout> }).on('line', (line) => {
    last = line;
    ready.resolve(line);
  });
  const succeeded = ended.then((code) => {
    ready.reject(new Error(`${script} ended before it was ready`));
    if (code !== 0) throw new Error(`${script} ended with ${code}`);
  });
  succeeded.catch(() => {}); // Of interest only to who awaits it.
  return {
    line: await ready.promise,
    last: () => last,
    cpuSeconds: () => cpuSecondsOf(child.pid),
    ended: succeeded,
    async stop() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

function spawned(script: string, args: readonly string[]): { child: ChildProcess; ended: Promise<number> } {
  const child = spawn(process.execPath, [path(script), ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const forget = endsWithBench(() => child.kill('SIGKILL'));
  const ended = once(child, 'close').then(([code]) => {
    forget();
    return Number(code ?? 137);
  });
  return { child, ended };
}

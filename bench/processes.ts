import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const path = (script: string) => fileURLToPath(new URL(script, import.meta.url));

/** Runs a script of this folder to its end and gives the JSON of its last line. */
export async function runScript<T>(script: string, args: readonly string[]): Promise<T> {
  const child = spawn(process.execPath, [path(script), ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let last = '';
  for await (const line of createInterface({ input: child.stdout })) last = line;
  const code = child.exitCode ?? (await once(child, 'exit'))[0];
  if (code !== 0) throw new Error(`${script} ended with ${code}`);
  return JSON.parse(last) as T;
}

/** Starts a script of this folder that prints one line when it is ready. */
export async function startScript(
  script: string,
  args: readonly string[],
): Promise<{ line: string; stop(): Promise<void> }> {
  const child: ChildProcess = spawn(process.execPath, [path(script), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (child.stdout === null) throw new Error('no standard output');
  const { value: line, done } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
  if (done) throw new Error(`${script} ended before it was ready`);
  return {
    line: String(line),
    async stop() {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    },
  };
}

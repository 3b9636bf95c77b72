import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Clients, connect } from '../src/cli/client.ts';

const pinfold = fileURLToPath(new URL('../bin/pinfold.mjs', import.meta.url));

/** A daemon process on this machine, in a folder of its own, on free loopback ports: for the show, the tests and the benchmarks. */
export interface LocalPeer {
  readonly name: string;
  readonly folder: string;
  /** gRPC, `host:port`. */
  readonly host: string;
  readonly httpHost: string;
  readonly metricsHost: string;
  readonly peerId: string;
  /** Of the cluster swarm, with /p2p/. */
  readonly address: string;
  readonly clients: Clients;
  /** Starts the process and resolves when it serves. */
  start(options?: { bootstrap?: readonly string[]; flags?: readonly string[] }): Promise<void>;
  /** Sends the signal and resolves with the exit code when the process has ended; 137 after SIGKILL. */
  kill(signal: 'SIGTERM' | 'SIGKILL'): Promise<number>;
  running(): boolean;
  /** What the process wrote to standard error so far. */
  log(): Promise<string>;
}

export interface PeerInit {
  root: string;
  name: string;
  secretFile: string;
  /** Flags of `init`, each an option: `--tracker-pin-timeout-ms=500`. */
  flags?: readonly string[];
}

/** How long a daemon may take to serve, and to end. */
const deadlineMs = 60_000;

export async function localPeer({ root, name, secretFile, flags = [] }: PeerInit): Promise<LocalPeer> {
  const folder = join(root, name);
  await mkdir(root, { recursive: true });
  await runPinfold([
    'init',
    '--folder',
    folder,
    '--random-ports',
    '--secret-file',
    secretFile,
    '--name',
    name,
    ...flags,
  ]);
  const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'));
  const { peerId } = JSON.parse(await readFile(join(folder, 'identity.json'), 'utf8'));
  const host: string = config.api.grpcListen;
  const clients = connect(host, undefined);
  const logFile = join(folder, 'daemon.log');
  let child: ChildProcess | undefined;

  return {
    name,
    folder,
    host,
    httpHost: config.api.httpListen,
    metricsHost: config.api.metricsListen,
    peerId,
    address: `${config.network.listen[0]}/p2p/${peerId}`,
    clients,

    async start({ bootstrap = [], flags: more = [] } = {}) {
      const flagOf = bootstrap.length === 0 ? [] : ['--bootstrap', bootstrap.join(',')];
      const started = spawn(process.execPath, [pinfold, 'daemon', '--folder', folder, ...flagOf, ...more], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      child = started;
      started.stderr.pipe(createWriteStream(logFile, { flags: 'a' }));
      started.once('exit', () => {
        if (child === started) child = undefined;
      });
      const until = Date.now() + deadlineMs;
      while (!(await serves(clients))) {
        if (child !== started) throw new Error(`${name} ended instead of serving:\n${await tail(logFile)}`);
        if (Date.now() > until)
          throw new Error(`${name} does not serve after ${deadlineMs} ms:\n${await tail(logFile)}`);
        await pause(50);
      }
    },

    async kill(signal) {
      const running = child;
      if (running === undefined) return 0;
      const exited = once(running, 'exit');
      running.kill(signal);
      const timer = setTimeout(() => running.kill('SIGKILL'), deadlineMs);
      const [code] = await exited;
      clearTimeout(timer);
      child = undefined;
      return code ?? 137;
    },

    running: () => child !== undefined,
    log: () => readFile(logFile, 'utf8'),
  };
}

export async function runPinfold(
  args: readonly string[],
  input?: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const result = await tryPinfold(args, input);
  if (result.code === 0) return result;
  throw new Error(`pinfold ${args.join(' ')} ended with ${result.code}: ${result.stderr}${result.stdout}`);
}

/** The `pinfold` command in a process of its own. */
export async function tryPinfold(
  args: readonly string[],
  input = '',
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [pinfold, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text) => {
    stdout += text;
  });
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [code] = await once(child, 'close');
  return { code: code ?? 137, stdout, stderr };
}

/** Waits until `holds` is true, looking often; throws with `what` after the deadline. */
export async function until(
  what: string,
  holds: () => Promise<boolean> | boolean,
  withinMs = deadlineMs,
): Promise<void> {
  const end = Date.now() + withinMs;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`not so after ${withinMs} ms: ${what}`);
    await pause(50);
  }
}

async function serves(clients: Clients): Promise<boolean> {
  try {
    await clients.cluster.getCluster({}, { timeoutMs: 2_000 });
    return true;
  } catch {
    return false;
  }
}

async function tail(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.split('\n').slice(-30).join('\n');
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

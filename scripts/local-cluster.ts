import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Peer } from '../gen/pinfold/v1/peer_service_pb.ts';
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
  start(options?: DaemonFlags): Promise<void>;
  /** Starts a process that is expected to end by itself, and resolves with what became of it. */
  startInVain(options?: DaemonFlags): Promise<Ended>;
  /** Sends the signal and resolves with the exit code when the process has ended; 137 after SIGKILL. */
  kill(signal: 'SIGTERM' | 'SIGKILL'): Promise<number>;
  /** Sends the signal and does not wait. */
  signal(signal: NodeJS.Signals): void;
  running(): boolean;
  /** Of the process, while it runs. */
  pid(): number | undefined;
  /** What the process wrote to standard error so far. */
  log(): Promise<string>;
}

export interface DaemonFlags {
  bootstrap?: readonly string[];
  flags?: readonly string[];
}

export interface Ended {
  /** 137 after SIGKILL. */
  code: number;
  stdout: string;
  stderr: string;
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
    ...(await portFlags()),
    '--secret-file',
    secretFile,
    '--name',
    name,
    ...flags,
  ]);
  return peerOfFolder(folder, name);
}

/*
 * A peer's ports must stay free while it is down. So they are not of the range that the system gives away (32768 and up on
 * Linux), each is given once in this process, and processes that run beside this one begin elsewhere.
 */
const portMin = 10_000;
const portCount = 22_000;
let nextPort = (process.pid * 211) % portCount;

async function portFlags(): Promise<string[]> {
  const ports: number[] = [];
  while (ports.length < 5) {
    const port = portMin + (nextPort++ % portCount);
    if (await isFree(port)) ports.push(port);
  }
  const [grpc, http, metrics, swarm, ipfs] = ports;
  return [
    `--api-grpc-listen=127.0.0.1:${grpc}`,
    `--api-http-listen=127.0.0.1:${http}`,
    `--api-metrics-listen=127.0.0.1:${metrics}`,
    `--network-listen=/ip4/127.0.0.1/tcp/${swarm}`,
    `--ipfs-listen=/ip4/127.0.0.1/tcp/${ipfs}`,
  ];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** The peer of a folder that `init` has made. */
export async function peerOfFolder(folder: string, name: string): Promise<LocalPeer> {
  const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'));
  const { peerId } = JSON.parse(await readFile(join(folder, 'identity.json'), 'utf8'));
  const host: string = config.api.grpcListen;
  const clients = connect(host, undefined);
  const logFile = join(folder, 'daemon.log');
  let child: ChildProcess | undefined;
  const daemonArgs = ({ bootstrap = [], flags = [] }: DaemonFlags) => {
    const bootstrapFlag = bootstrap.length === 0 ? [] : ['--bootstrap', bootstrap.join(',')];
    return ['daemon', '--folder', folder, ...bootstrapFlag, ...flags];
  };

  return {
    name,
    folder,
    host,
    httpHost: config.api.httpListen,
    metricsHost: config.api.metricsListen,
    peerId,
    address: `${config.network.listen[0]}/p2p/${peerId}`,
    clients,

    async start(options = {}) {
      const started = spawn(process.execPath, [pinfold, ...daemonArgs(options)], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      endWithUs(started);
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

    startInVain: (options = {}) => tryPinfold(daemonArgs(options)),

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

    signal: (signal) => void child?.kill(signal),
    running: () => child !== undefined,
    pid: () => child?.pid,
    log: () => readFile(logFile, 'utf8'),
  };
}

export async function runPinfold(args: readonly string[], input?: string | Uint8Array): Promise<Ended> {
  const result = await tryPinfold(args, input);
  if (result.code === 0) return result;
  throw new Error(`pinfold ${args.join(' ')} ended with ${result.code}: ${result.stderr}${result.stdout}`);
}

/** The `pinfold` command in a process of its own, to its end. */
export async function tryPinfold(args: readonly string[], input: string | Uint8Array = ''): Promise<Ended> {
  const running = spawnPinfold(args);
  running.child.stdin?.end(input);
  return running.ended;
}

export interface RunningCommand {
  readonly child: ChildProcess;
  /** What it wrote so far. */
  stdout(): string;
  readonly ended: Promise<Ended>;
}

/** The `pinfold` command in a process of its own, which the caller feeds and ends. */
export function spawnPinfold(args: readonly string[]): RunningCommand {
  const child = spawn(process.execPath, [pinfold, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  endWithUs(child);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  child.stdin.on('error', () => {});
  const ended = once(child, 'close').then(([code]) => ({ code: code ?? 137, stdout, stderr }));
  return { child, stdout: () => stdout, ended };
}

const children = new Set<ChildProcess>();

/** Whatever ends this process, a failed test or Ctrl-C, leaves no daemon behind. */
export function endWithUs(child: ChildProcess): void {
  if (children.size === 0 && process.listenerCount('exit', killChildren) === 0) process.on('exit', killChildren);
  children.add(child);
  child.once('exit', () => children.delete(child));
}

function killChildren(): void {
  for (const child of children) child.kill('SIGKILL');
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

export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Every peer knows all others and how much space they have, so that pins can be allocated to them. */
export async function acquainted(peers: readonly LocalPeer[]): Promise<void> {
  await until('every peer knows all others', async () => {
    const seen = await Promise.all(peers.map((peer) => peer.clients.peers.listPeers({})));
    const isPlaceable = ({ metrics }: Peer) => metrics.some(({ name, valid }) => name === 'freespace' && valid);
    return seen.every(({ peers: members }) => members.length === peers.length && members.every(isPlaceable));
  });
}

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { base32upper } from 'multiformats/bases/base32';
import type { Test } from 'tap';
import { findKubo } from '../../scripts/kubo.ts';
import { endWithUs } from '../../scripts/local-cluster.ts';
import { parseRpcAddress } from '../../src/ipfs/kubo/address.ts';
import { formatSwarmKey } from '../../src/ipfs/swarm-key.ts';
import type { TestBlock } from '../suites/dags.ts';
import { seededBytes } from './seeded-bytes.ts';

const { path: program = '', missing } = findKubo();

/** For the options of a test: why those with a real node cannot run here; false when they can. */
export const withoutKubo: string | false = missing === '' ? false : missing;

export interface KuboSettings {
  /** The key of its private network, 32 bytes; without it the node is alone, as it is told of nobody. */
  swarmKey?: Uint8Array;
  /** As Kubo's configuration has it: `basic:USER:PASSWORD` or `bearer:TOKEN`. */
  auth?: string;
  /** It connects to nobody, and finds in its own records the names that it has published. */
  offline?: boolean;
  /** Its RPC listens on a unix socket besides. */
  onSocket?: boolean;
}

/**
 * A Kubo daemon in a folder of its own: loopback only, random ports, nobody to bootstrap from, no mDNS, no DHT, and none
 * of what calls home. It is gone at the end of the test.
 */
export class KuboNode {
  readonly folder: string;
  readonly socketPath: string;
  readonly #settings: KuboSettings;
  #process: ChildProcess | undefined;
  #log = '';
  /** Multiaddr of its RPC. */
  api = '';

  private constructor(folder: string, settings: KuboSettings) {
    this.folder = folder;
    this.socketPath = join(folder, 'rpc.sock');
    this.#settings = settings;
  }

  static async make(settings: KuboSettings = {}): Promise<KuboNode> {
    const node = new KuboNode(await mkdtemp(join(tmpdir(), 'pinfold-kubo-')), settings);
    await promisify(execFile)(program, ['init', '--empty-repo', '--profile=test'], { env: node.#environment });
    if (settings.swarmKey !== undefined) await node.setSwarmKey(formatSwarmKey(settings.swarmKey));
    await node.#configure(settings);
    return node;
  }

  /** A node that runs, and holds nothing. */
  static async start(t: Pick<Test, 'teardown'>, settings: KuboSettings = {}): Promise<KuboNode> {
    const node = await KuboNode.make(settings);
    t.teardown(() => node.remove());
    await node.start();
    return node;
  }

  setSwarmKey(text: string): Promise<void> {
    return writeFile(join(this.folder, 'swarm.key'), text);
  }

  get #environment() {
    const { PATH = '' } = process.env;
    return { PATH, HOME: this.folder, IPFS_PATH: this.folder, IPFS_TELEMETRY: 'off' };
  }

  get #configFile(): string {
    return join(this.folder, 'config');
  }

  /** It takes over the addresses of another one, which has stopped. */
  async replace(other: KuboNode): Promise<void> {
    await this.#listenAt(await other.#addresses());
  }

  async #configure({ auth, onSocket = false }: KuboSettings): Promise<void> {
    await this.#change((config) => {
      config.Bootstrap = [];
      config.AutoConf = { Enabled: false };
      config.AutoTLS = { Enabled: false };
      config.AutoNAT = { ServiceMode: 'disabled' };
      config.Discovery = { MDNS: { Enabled: false } };
      config.DNS = { Resolvers: {} };
      config.HTTPRetrieval = { Enabled: false };
      config.Ipns = { DelegatedPublishers: [] };
      config.Provide = { Enabled: false };
      config.Routing = { Type: 'none', DelegatedRouters: [] };
      config.Version = { SwarmCheckEnabled: false };
      config.Swarm = {
        ...config.Swarm,
        DisableNatPortMap: true,
        RelayClient: { Enabled: false },
        RelayService: { Enabled: false },
      };
      // So that a block that vanishes from the disk is missed at once, and not only when it is read.
      config.Datastore = { ...config.Datastore, BlockKeyCacheSize: 0 };
      const api = ['/ip4/127.0.0.1/tcp/0', ...(onSocket ? [`/unix${this.socketPath}`] : [])];
      config.Addresses = { ...config.Addresses, API: api, Gateway: [], Swarm: ['/ip4/127.0.0.1/tcp/0'] };
      if (auth !== undefined) {
        config.API = { ...config.API, Authorizations: { pinfold: { AuthSecret: auth, AllowedPaths: ['/api/v0'] } } };
      }
    });
  }

  /** `fileKiBMax`: it can write no larger files (RLIMIT_FSIZE), so that larger blocks find no room. */
  async start(fileKiBMax: number | 'unlimited' = 'unlimited'): Promise<void> {
    const env = { ...this.#environment, ...(this.#settings.swarmKey !== undefined && { LIBP2P_FORCE_PNET: '1' }) };
    const daemon = `daemon ${this.#settings.offline ? '--offline' : ''}`;
    const child = spawn('sh', ['-c', `ulimit -f "$1"; exec "$0" ${daemon}`, program, blocksOf(fileKiBMax)], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    endWithUs(child);
    this.#log = '';
    const swarm: string[] = [];
    const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.#log += `${line}\n`;
      const port = /^Swarm listening on 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
      if (port !== undefined) swarm.push(`/ip4/127.0.0.1/tcp/${port}`);
      const api = /^RPC API server listening on (\/ip4\/\S+)/.exec(line)?.[1];
      if (api !== undefined) this.api = api;
      if (line === 'Daemon is ready') resolve();
    });
    createInterface({ input: child.stderr }).on('line', (line) => {
      this.#log += `${line}\n`;
    });
    child.on('exit', () => reject(new Error(`Kubo ended:\n${this.#log}`)));
    child.on('error', reject);
    await ready;
    // It keeps its ports over a restart, as a node that is configured does.
    await this.#change((config) => {
      const addresses = config.Addresses as { API: string[]; Swarm: string[] };
      addresses.API[0] = this.api;
      addresses.Swarm = swarm;
    });
  }

  /** SIGSTOP: the kernel still takes connections, and nobody answers. */
  signal(name: NodeJS.Signals): void {
    this.#process?.kill(name);
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  async remove(): Promise<void> {
    await this.stop('SIGKILL');
    await rm(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }

  /** Runs `ipfs ARGUMENT...` on it. */
  async ipfs(...args: string[]): Promise<string> {
    const { auth } = this.#settings;
    const globals = ['--api', this.api, ...(auth === undefined ? [] : ['--api-auth', auth])];
    const { stdout } = await promisify(execFile)(program, [...globals, ...args], { env: this.#environment });
    return stdout.trim();
  }

  /** Stores a value, in dag-json's form, by one of its codecs. */
  async put(value: unknown, codec: 'dag-cbor' | 'dag-json' = 'dag-cbor'): Promise<string> {
    const file = join(this.folder, 'put.json');
    await writeFile(file, JSON.stringify(value));
    return this.ipfs('dag', 'put', '--input-codec=dag-json', `--store-codec=${codec}`, file);
  }

  /** Of its RPC, for a call by hand: `${rpcUrl}/pin/ls`. */
  get rpcUrl(): string {
    const { host, port } = parseRpcAddress(this.api);
    return `http://${host}:${port}/api/v0`;
  }

  /** CIDs, version 1, of what it holds recursively. By a call of its own, as this is asked often; not of a node with credentials. */
  async held(): Promise<string[]> {
    const answer = await fetch(`${this.rpcUrl}/pin/ls?type=recursive`, { method: 'POST' });
    if (!answer.ok) throw new Error(`pin/ls: ${answer.status} ${await answer.text()}`);
    const { Keys: keys = {} } = (await answer.json()) as { Keys?: object };
    return Object.keys(keys).filter((cid) => cid.startsWith('b'));
  }

  /** All that it holds is gone, as after a disk was changed for another; who it is, stays. It must not run. */
  async empty(): Promise<void> {
    for (const part of ['blocks', 'datastore']) await rm(join(this.folder, part), { recursive: true });
  }

  /** The two repositories change places: each is found at the address of the other. They must not run. */
  static async swap(a: KuboNode, b: KuboNode): Promise<void> {
    const [addressesOfA, addressesOfB] = await Promise.all([a.#addresses(), b.#addresses()]);
    await a.#listenAt(addressesOfB);
    await b.#listenAt(addressesOfA);
  }

  async #addresses(): Promise<object> {
    return JSON.parse(await readFile(this.#configFile, 'utf8')).Addresses;
  }

  #listenAt(addresses: object): Promise<void> {
    return this.#change((config) => {
      config.Addresses = addresses;
    });
  }

  /** Removes the block from its disk, behind its back. */
  async lose(block: TestBlock): Promise<void> {
    const name = base32upper.encode(block.link.multihash.bytes).slice(1);
    await rm(join(this.folder, 'blocks', name.slice(-3, -1), `${name}.data`));
  }

  async #change(edit: (config: Record<string, object>) => void): Promise<void> {
    const config = JSON.parse(await readFile(this.#configFile, 'utf8'));
    edit(config);
    await writeFile(this.#configFile, JSON.stringify(config));
  }
}

/** As `ulimit -f` of a POSIX shell counts: in blocks of 512 bytes. */
function blocksOf(kib: number | 'unlimited'): string {
  return kib === 'unlimited' ? kib : String(kib * 2);
}

/** What `ipfs init` pins by itself. */
export const emptyFolder = 'QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn';

/** Files on that node alone, without pins; their CIDs. The folder is made, and its name makes them others than those of another one. */
export async function filesOnlyAt(
  kubo: KuboNode,
  folder: string,
  { count, bytes = 20_000 }: { count: number; bytes?: number },
): Promise<string[]> {
  await mkdir(folder);
  for (let i = 0; i < count; i++) await writeFile(join(folder, `${i}`), seededBytes(`${folder} ${i}`, bytes));
  const added = await kubo.ipfs('add', '--recursive', '--cid-version=1', '--pin=false', '--quiet', folder);
  return added.split('\n').slice(0, count);
}

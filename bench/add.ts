import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { acquainted, type LocalPeer, runPinfold } from '../scripts/local-cluster.ts';
import { KuboNode, withoutKubo } from '../test/support/kubo.ts';
import { contentOf } from './content.ts';
import { benchPeer } from './daemon.ts';
import type { BenchContext } from './main.ts';
import { endsWithBench, runScript, startScript } from './processes.ts';
import { cpuSecondsOf, loadNow, memoryOf } from './usage.ts';

/** IPFS Cluster 1.1.6, one file to two Kubos. */
const ipfsClusterRate = 62;
const mib = 2 ** 20;
const smallFileBytes = 4_096;

interface Added {
  bytes: number;
  seconds: number;
  cpuSeconds: number;
  cid: string;
}

const rateOf = ({ bytes, seconds }: Pick<Added, 'bytes' | 'seconds'>) => bytes / mib / seconds;

/** Content added by a client in a process of its own, from its first message until the answer that it is pinned. */
export async function add(context: BenchContext): Promise<void> {
  const { figures, root, pins } = context;
  // 1 GiB at full size.
  const bytes = Math.max(8, Math.min(1024, Math.round((pins * 1024) / 1_000_000))) * mib;
  const files = Math.max(100, Math.min(10_000, Math.round(pins / 100)));
  const addFigure = (figure: string, value: number, limit: number, note: string, unit = 'MiB/s') =>
    figures.add({ name: 'add', figure, value, unit, limit, note });

  const sink = await startScript('./add-sink.ts', []);
  const toSink = await runScript<Added>('./add-client.ts', [`127.0.0.1:${sink.line}`, '1', '1', String(bytes)]);
  await sink.stop();
  figures.progress(`  upload into a sink: ${Math.round(rateOf(toSink))} MiB/s; ${loadNow()}`);
  await embedded(context, bytes, addFigure);
  if (withoutKubo !== false) {
    figures.progress(`  the rest is left out: ${withoutKubo}`);
    return;
  }
  const rpcRate = await rpc(bytes);
  figures.progress(`  peer RPC: ${Math.round(rpcRate)} MiB/s`);

  const carFile = join(root, 'content.car');
  await runScript('./add-car.ts', [carFile, '1', String(bytes)]);
  const bare = await kubo();
  const imported = await timed(() => bare.ipfs('dag', 'import', carFile));
  figures.progress(`  ipfs dag import: ${Math.round(bytes / mib / imported)} MiB/s; ${loadNow()}`);
  const plain = join(root, 'plain.bin');
  await writeFile(plain, contentOf(2, bytes));
  const ipfsAdd = bytes / mib / (await timed(() => bare.ipfs('add', '-Q', plain)));
  figures.progress(`  ipfs add: ${Math.round(ipfsAdd)} MiB/s; ${loadNow()}`);
  const smallFolder = await smallFiles(root, files);
  const ipfsSmall = files / (await timed(() => bare.ipfs('add', '-Q', '-r', smallFolder)));
  await rm(plain);
  await bare.remove();

  const nodes = [await kubo(), await kubo()] as const;
  const [one, two] = await Promise.all(
    nodes.map(({ api }) => benchPeer(root, ['--ipfs-kind=kubo', `--ipfs-api=${api}`])),
  );
  if (one === undefined || two === undefined) throw new Error('two peers were made');
  await one.start();
  const look = watched(one);
  const inSequence = bytes / mib / (toSink.seconds + imported);
  const local = await added(context, 'kubo-local', one, ['1', '1', String(bytes)]);
  addFigure('kubo-local', local, inSequence, `the upload, then ipfs dag import; ipfs add alone ${Math.round(ipfsAdd)}`);
  const { peakMib, p99 } = await look();
  addFigure('get-pin-p99', p99, 20, 'GetPin meanwhile, the aim', 'ms');
  addFigure('peak-memory', peakMib, 512, 'of the peer, without the mapped store', 'MiB');
  const car = await added(context, 'car', one, ['1', 'car', carFile]);
  addFigure('car', car, inSequence, 'the same, of content that the node has');

  const small = await timed(() => runPinfold(['add', smallFolder, '-Q', '-r', '1', '--host', one.host]));
  addFigure(
    'small-files',
    files / small,
    ipfsSmall,
    `ipfs add -r; ${files} files of ${smallFileBytes} bytes`,
    'files/s',
  );

  await two.start({ bootstrap: [one.address] });
  await acquainted([one, two]);
  const replicated = await added(context, 'replicated', one, ['2', '3', String(bytes)]);
  const times = (replicated / ipfsClusterRate).toFixed(1);
  addFigure('replicated', replicated, Math.min(local, rpcRate), `kubo-local or the peer RPC; ${times} x IPFS Cluster`);
  for (const peer of [one, two]) await peer.kill('SIGTERM');
  for (const node of nodes) await node.remove();
}

async function embedded(
  context: BenchContext,
  bytes: number,
  addFigure: (figure: string, value: number, limit: number, note: string) => void,
): Promise<void> {
  const file = join(context.root, 'written');
  const written = await runScript<Added>('./add-written.ts', [file, String(bytes)]);
  await rm(file);
  const peer = await benchPeer(context.root);
  await peer.start();
  const rate = await added(context, 'embedded-local', peer, ['1', '1', String(bytes)]);
  addFigure('embedded-local', rate, rateOf(written), 'hashing and writing to one file, without the upload');
  await peer.kill('SIGTERM');
  await rm(peer.folder, { recursive: true });
}

async function added(
  { figures }: BenchContext,
  what: string,
  peer: LocalPeer,
  args: readonly string[],
): Promise<number> {
  const cpu = cpuSecondsOf(peer.pid());
  const sent = await runScript<Added>('./add-client.ts', [peer.host, ...args]);
  const cores = (seconds: number) => (seconds / sent.seconds).toFixed(2);
  const own = `cores: peer ${cores(cpuSecondsOf(peer.pid()) - cpu)}, client ${cores(sent.cpuSeconds)}`;
  figures.progress(`  ${what} ${Math.round(rateOf(sent))} MiB/s; ${own}; ${loadNow()}`);
  return rateOf(sent);
}

async function rpc(bytes: number): Promise<number> {
  const served = await startScript('./put-blocks-rate.ts', ['serve']);
  const sent = await runScript<Added>('./put-blocks-rate.ts', ['call', served.line, String(bytes)]);
  await served.stop();
  return rateOf(sent);
}

async function kubo(): Promise<KuboNode> {
  const node = await KuboNode.make();
  endsWithBench(() => node.remove());
  await node.start();
  return node;
}

async function smallFiles(root: string, count: number): Promise<string> {
  const folder = join(root, 'small');
  const perFolder = 100;
  const content = contentOf(5, count * smallFileBytes);
  let piece = new Uint8Array();
  for (let file = 0; file < count; file++) {
    if (piece.length === 0) piece = content.next().value ?? piece;
    const path = join(folder, String(Math.floor(file / perFolder)));
    if (file % perFolder === 0) await mkdir(path, { recursive: true });
    await writeFile(join(path, `${file}.bin`), piece.subarray(0, smallFileBytes));
    piece = piece.subarray(smallFileBytes);
  }
  return folder;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}

/** Asks for a pin all the time, and looks at the memory, until the answer is called: what it saw. */
function watched(peer: LocalPeer): () => Promise<{ peakMib: number; p99: number }> {
  const waits: number[] = [];
  let peak = 0;
  let isOver = false;
  const looking = (async () => {
    const { cid } =
      (await peer.clients.pins.pin({ cid: 'bafkqaaa', options: { replicationMin: 1, replicationMax: 1 } })).pin ?? {};
    while (!isOver) {
      const began = performance.now();
      await peer.clients.pins.getPin({ cid: cid ?? '' });
      waits.push(performance.now() - began);
      peak = Math.max(peak, memoryOf(peer.pid()).own);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  })();
  return async () => {
    isOver = true;
    await looking;
    waits.sort((a, b) => a - b);
    return { peakMib: peak / mib, p99: waits[Math.floor(waits.length * 0.99)] ?? 0 };
  };
}

import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import pc from 'picocolors';
import { TrackerStatus } from '../gen/pinfold/v1/pin_pb.ts';
import { statusName } from '../src/cli/statuses.ts';
import { type LocalPeer, localPeer, runPinfold, until } from './local-cluster.ts';

/*
 * The main job, shown: three peers on this machine, content added at one, replicated, pinned where it is allocated, and
 * none of it lost when a peer is killed. `--once` ends after the show; a path adds that file or folder instead of the
 * built-in one.
 */
const args = process.argv.slice(2);
const once = args.includes('--once');
const given = args.find((arg) => !arg.startsWith('--'));

const root = await mkdtemp(join(tmpdir(), 'pinfold-show-'));
const peers: LocalPeer[] = [];
let failed = false;

process.once('SIGINT', () => void finish().then(() => process.exit(failed ? 1 : 0)));
process.once('SIGTERM', () => void finish().then(() => process.exit(failed ? 1 : 0)));

try {
  await show();
} catch (error) {
  failed = true;
  console.error(`\n${pc.red('the show failed')}: ${(error as Error).message}`);
  for (const peer of peers)
    console.error(pc.dim(`\n--- ${peer.name}\n${(await peer.log().catch(() => '')).slice(-2000)}`));
}
if (once || failed) {
  await finish();
  process.exitCode = failed ? 1 : 0;
} else {
  stayUp();
}

async function show(): Promise<void> {
  console.log(`${pc.bold('Pinfold')}  keeps content pinned on the right IPFS nodes\n`);
  const [one, two, three] = await step('start three peers, each with an IPFS node of its own', startPeers);

  const path = given === undefined ? await builtInFile() : resolve(given);
  const first = await step(`add ${given ?? 'a file of 3 MiB'} at peer 1`, () => addAt(one, path, 2));
  detail(`${first.cid}  on ${first.allocations.map(nameOf).join(' and ')}`);

  await step('watch it until it is pinned where it was allocated', () => watchUntilPinned(one, first));

  const second = await step('put other content into the node of peer 2, and pin it through peer 2', async () => {
    const file = join(root, 'second.txt');
    await writeFile(file, `pinned and unpinned again, ${new Date().toISOString()}\n`);
    return addAt(two, file, 1);
  });
  await step('pin that content everywhere, through peer 2', () => pinEverywhere(two, second.cid));
  await step('unpin it through peer 3', async () => {
    await until('peer 3 knows the pin', () => knows(three, second.cid));
    await runPinfold(['pin', 'rm', second.cid, '--host', three.host]);
    await until('all have forgotten it', async () => {
      const known = await Promise.all(peers.map((peer) => knows(peer, second.cid)));
      return !known.includes(true);
    });
  });

  await step('kill peer 3 with SIGKILL, and pin on while it is away', async () => {
    await three.kill('SIGKILL');
    await runPinfold([
      'pin',
      'add',
      '--name',
      'while-away',
      '-r',
      '1',
      first.cid,
      '--namespace',
      'show',
      '--host',
      one.host,
    ]);
  });
  await step('start it again: nothing is lost, and it has caught up', async () => {
    await three.start({ bootstrap: [one.address] });
    await until('equal digests at all peers', digestsEqual);
    if (!(await knows(three, first.cid))) throw new Error('peer 3 has lost the first pin');
    if (!(await knows(three, first.cid, 'show')))
      throw new Error('peer 3 has not caught up with the pin made meanwhile');
    await watchUntilPinned(three, first);
  });
  const { digest, pins } = await one.clients.cluster.getCluster({});
  detail(`${pins} pins at every peer, digest ${Buffer.from(digest).toString('hex').slice(0, 16)}`);
}

interface Added {
  cid: string;
  allocations: string[];
}

async function startPeers(): Promise<[LocalPeer, LocalPeer, LocalPeer]> {
  const secretFile = join(root, 'secret.txt');
  await writeFile(secretFile, randomBytes(32).toString('hex'), { mode: 0o600 });
  for (const name of ['peer 1', 'peer 2', 'peer 3']) {
    peers.push(
      await localPeer({ root, name: name.replace(' ', '-'), secretFile, flags: ['--cluster-peer-name', name] }),
    );
  }
  const [one, two, three] = peers as [LocalPeer, LocalPeer, LocalPeer];
  await one.start();
  await Promise.all([two.start({ bootstrap: [one.address] }), three.start({ bootstrap: [one.address] })]);
  await until('every peer sees the others and can store pins', async () => {
    const seen = await Promise.all(peers.map((peer) => peer.clients.peers.listPeers({})));
    return seen.every(
      ({ peers: members }) => members.length === 3 && members.every((member) => member.metrics.length > 0),
    );
  });
  return [one, two, three];
}

async function builtInFile(): Promise<string> {
  const file = join(root, 'hello-pinfold.bin');
  // Made anew each time, from a fixed seed, so that its CID is always the same.
  const blocks: Buffer[] = [];
  let block = createHash('sha512').update('pinfold').digest();
  for (let bytes = 0; bytes < 3 * 1024 * 1024; bytes += block.length) {
    block = createHash('sha512').update(block).digest();
    blocks.push(block);
  }
  await writeFile(file, Buffer.concat(blocks));
  return file;
}

async function addAt(peer: LocalPeer, path: string, copies: number): Promise<Added> {
  await stat(path);
  const { stdout } = await runPinfold([
    'add',
    path,
    '-r',
    String(copies),
    '--name',
    basename(path),
    '--host',
    peer.host,
    '--output',
    'json',
  ]);
  const root = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).root)
    .find((each) => each !== undefined);
  if (root === undefined) throw new Error(`add answered no root: ${stdout}`);
  return { cid: root.pin.cid, allocations: root.pin.allocations ?? [] };
}

async function watchUntilPinned(peer: LocalPeer, { cid, allocations }: Added): Promise<void> {
  const missing = new Set(allocations);
  const watch = new AbortController();
  const timer = setTimeout(() => watch.abort(), 60_000);
  try {
    for await (const { events } of peer.clients.pins.watchPins({ filter: { cids: [cid] } }, { signal: watch.signal })) {
      for (const { event } of events) {
        if (event.case !== 'status' || event.value.namespace !== 'default' || event.value.peer === undefined) continue;
        const { peerId, status } = event.value.peer;
        detail(`${nameOf(peerId)}  ${statusName(status)}`);
        if (status === TrackerStatus.PINNED) missing.delete(peerId);
      }
      if (missing.size === 0) return;
    }
    throw new Error('the watch ended before all was pinned');
  } catch (error) {
    if (watch.signal.aborted) throw new Error(`not pinned after a minute on ${[...missing].map(nameOf).join(', ')}`);
    throw error;
  } finally {
    clearTimeout(timer);
    watch.abort();
  }
}

async function pinEverywhere(peer: LocalPeer, cid: string): Promise<void> {
  await runPinfold(['pin', 'add', cid, '-r', '-1', '--host', peer.host]);
  await until('all three nodes have it', async () => {
    const { status } = await peer.clients.pins.getPinStatus({ cid });
    return status?.peers.length === 3 && status.peers.every((each) => each.status === TrackerStatus.PINNED);
  });
}

async function knows(peer: LocalPeer, cid: string, namespace = ''): Promise<boolean> {
  try {
    await peer.clients.pins.getPin({ cid, namespace });
    return true;
  } catch {
    return false;
  }
}

async function digestsEqual(): Promise<boolean> {
  const clusters = await Promise.all(peers.map((peer) => peer.clients.cluster.getCluster({})));
  return new Set(clusters.map(({ digest }) => Buffer.from(digest).toString('hex'))).size === 1;
}

function nameOf(peerId: string): string {
  return peers.find((peer) => peer.peerId === peerId)?.name.replace('-', ' ') ?? peerId;
}

async function step<T>(what: string, act: () => Promise<T>): Promise<T> {
  console.log(`${pc.cyan('>')} ${what}`);
  const result = await act();
  console.log(`  ${pc.green('done')}`);
  return result;
}

function detail(text: string): void {
  console.log(`  ${pc.dim(text)}`);
}

function stayUp(): void {
  console.log('\nThe cluster stays up until Ctrl-C:');
  for (const peer of peers)
    console.log(
      `  ${peer.name}  gRPC ${peer.host}  HTTP http://${peer.httpHost}  metrics http://${peer.metricsHost}/metrics`,
    );
  const host = peers[0]?.host;
  console.log('\nTry:');
  console.log(`  bin/pinfold.mjs --host ${host} health`);
  console.log(`  bin/pinfold.mjs --host ${host} add README.md -r 2`);
  console.log(`  bin/pinfold.mjs --host ${host} status --watch`);
}

async function finish(): Promise<void> {
  await Promise.all(peers.map((peer) => peer.kill('SIGTERM').catch(() => 1)));
  await rm(root, { recursive: true, force: true });
}

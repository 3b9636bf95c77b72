import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstat, mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { CarReader } from '@ipld/car';
import * as dagPb from '@ipld/dag-pb';
import { UnixFS } from 'ipfs-unixfs';
import { importer } from 'ipfs-unixfs-importer';
import { CID } from 'multiformats/cid';
import t from 'tap';
import { ContentFormat, type ExportResponse, PinService } from '../../gen/pinfold/v1/pin_service_pb.ts';
import { type LocalPeer, runPinfold, spawnPinfold, tryPinfold, until } from '../../scripts/local-cluster.ts';
import { checkBlock } from '../../src/ipfs/dag/hashers.ts';
import { BlockFiles } from '../../src/ipfs/embedded/block-files.ts';
import { block, cborNode, DAG_PB, leaf, type TestBlock } from '../suites/dags.ts';
import { daemons, pinnedOn, refusal } from '../support/daemons.ts';
import { seededBytes } from '../support/seeded-bytes.ts';

const here = await daemons();
const peers = (await here.cluster(3)) as [LocalPeer, LocalPeer, LocalPeer];
const [one] = peers;
const files = join(here.root, 'files');
const got = join(here.root, 'got');
await mkdir(join(files, 'tree', 'empty'), { recursive: true });
await mkdir(join(files, 'tree', 'deep', 'er'), { recursive: true });
await mkdir(got);
const big = seededBytes('export big', 9 * 1024 * 1024 + 17);
await writeFile(join(files, 'big.bin'), big);
await writeFile(join(files, 'tree', 'a.txt'), 'hello world\n');
await writeFile(join(files, 'tree', 'nothing'), '');
await writeFile(join(files, 'tree', 'deep', 'er', 'ü b.bin'), big.subarray(0, 700_000));

t.test('a file and a tree: what was added is what is got, at the peer that holds nothing of it', async (t) => {
  const { cid, away } = await added(join(files, 'big.bin'));
  const to = join(got, 'big.bin');
  t.match(
    (await runPinfold(['get', cid, '-o', to, '--host', away.host])).stdout,
    /^saved .*big\.bin {2}1 file, 9\.0 MiB\n$/,
  );
  t.same(Buffer.compare(await readFile(to), big), 0);
  const again = await tryPinfold(['get', cid, '-o', to, '--host', away.host]);
  t.match(again, { code: 1, stderr: /EXISTS/ }, 'nothing is overwritten');
  t.same(await readdir(got), ['big.bin'], 'and nothing else is left');
  t.same(Buffer.compare(await standardOutput(['get', cid, '-o', '-', '--host', away.host]), big), 0);

  const tree = await added(join(files, 'tree'));
  await runPinfold(['get', tree.cid, '-o', join(got, 'tree'), '--host', tree.away.host]);
  t.same(await contentOf(join(got, 'tree')), await contentOf(join(files, 'tree')));
  const path = `${tree.cid}/deep/er/ü b.bin`;
  const { stdout } = await runPinfold([
    'get',
    path,
    '-o',
    join(got, 'b.bin'),
    '--host',
    tree.away.host,
    '--output',
    'json',
  ]);
  t.match(
    stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
    [{ entry: { size: '700000' } }, { saved: { files: 1, bytes: 700_000 } }],
  );
  t.same(Buffer.compare(await readFile(join(got, 'b.bin')), big.subarray(0, 700_000)), 0);
  t.match(await tryPinfold(['get', `${tree.cid}/no`, '--host', one.host]), { code: 1, stderr: /PATH_NOT_FOUND/ });
  t.match(await tryPinfold(['get', tree.cid, '-o', '-', '--host', one.host]), { code: 1, stderr: /NOT_A_FILE/ });
});

t.test('a CAR has each block once, all of the DAG, and ends properly', async (t) => {
  const { cid, away } = await added(join(files, 'big.bin'));
  const to = join(got, 'big.car');
  await runPinfold(['get', cid, '--car', '-o', to, '--host', away.host]);
  const car = await CarReader.fromBytes(await readFile(to));
  t.same((await car.getRoots()).map(String), [cid]);
  const seen = new Map<string, Uint8Array>();
  for await (const { cid: link, bytes } of car.blocks()) {
    checkBlock(CID.decode(link.bytes), bytes);
    t.notOk(seen.has(link.toString()));
    seen.set(link.toString(), bytes);
  }
  const { Links } = dagPb.decode(seen.get(cid) as Uint8Array);
  t.equal(seen.size, Links.length + 1);
  t.ok(Links.every(({ Hash }) => seen.has(Hash.toString())));
  t.same(
    Buffer.compare(await standardOutput(['get', cid, '--car', '-o', '-', '--host', one.host]), await readFile(to)),
    0,
  );
});

t.test('sharded directories, symbolic links, modes and times, over HTTP, too', async (t) => {
  const blocks: TestBlock[] = [];
  const store = {
    async put(link: CID, bytes: Uint8Array) {
      blocks.push({ cid: link.bytes, bytes, link });
      return link;
    },
  } as Parameters<typeof importer>[1];
  const source = Array.from({ length: 600 }, (_, at) => ({
    path: `file ${at}`,
    content: new TextEncoder().encode(`content ${at}`),
    mtime: { secs: 1_500_000_000n + BigInt(at), nsecs: 5_000_000 },
    mode: 0o640,
  }));
  let sharded: CID | undefined;
  for await (const { cid } of importer(source, store, { wrapWithDirectory: true, shardSplitThresholdBytes: 1_000 }))
    sharded = cid;
  const link = block(
    DAG_PB,
    dagPb.encode({ Links: [], Data: new UnixFS({ type: 'symlink', data: Buffer.from('sharded/file 7') }).marshal() }),
  );
  const Links = [
    { Name: 'link', Hash: link.link, Tsize: 1 },
    { Name: 'sharded', Hash: sharded as CID, Tsize: 1 },
  ];
  const data = new UnixFS({ type: 'directory', mode: 0o555, mtime: { secs: 1_400_000_000n } });
  const root = block(DAG_PB, dagPb.encode({ Links, Data: data.marshal() }));
  blocks.push(link, root);
  const { away, cid } = await imported(blocks, root);

  const to = join(got, 'with links');
  await runPinfold(['get', cid, '-o', to, '--host', away.host]);
  t.equal(await readlink(join(to, 'link')), 'sharded/file 7');
  t.equal(await readFile(join(to, 'link'), 'utf8'), 'content 7');
  t.equal((await readdir(join(to, 'sharded'))).length, 600);
  const { mode, mtimeMs } = await lstat(join(to, 'sharded', 'file 9'));
  t.equal(mode & 0o777, 0o640 & ~process.umask());
  t.equal(mtimeMs, 1_500_000_009_005);
  t.equal((await lstat(to)).mode & 0o777, 0o555);
  t.equal((await lstat(to)).mtimeMs, 1_400_000_000_000);

  const overHttp = createClient(
    PinService,
    createConnectTransport({ baseUrl: `http://${away.httpHost}`, httpVersion: '1.1' }),
  );
  const paths = new Map<string, string>();
  let last = '';
  for await (const { message } of overHttp.export({ path: `/ipfs/${cid}/sharded` })) {
    if (message.case === 'entry') {
      last = message.value.path;
      paths.set(last, '');
    }
    if (message.case === 'data') paths.set(last, paths.get(last) + Buffer.from(message.value).toString());
  }
  t.equal(paths.size, 601);
  t.ok(source.every(({ path, content }) => paths.get(path) === Buffer.from(content).toString()));
});

t.test('what cannot be had is said: not pinned, no files', async (t) => {
  const { pins } = one.clients;
  const { cid } = await added(join(files, 'tree'));
  t.equal(await outcome(pins.export({ path: leaf('nobody').link.toString() })), 'PIN_NOT_FOUND');
  t.equal(await outcome(pins.export({ path: cid, namespace: 'other' })), 'PIN_NOT_FOUND');
  t.equal(await outcome(pins.export({ path: '/ipns/example.org' })), 'INVALID_PATH');
  t.equal(await outcome(pins.export({ path: cid, format: 99 as ContentFormat })), 'INVALID_ARGUMENT');
  const text = leaf('a text');
  const root = cborNode([text]);
  const value = await imported([text, root], root);
  t.equal(await outcome(value.away.clients.pins.export({ path: value.cid })), 'INVALID_ARGUMENT');
  t.equal(await outcome(value.away.clients.pins.export({ path: value.cid, format: ContentFormat.CAR })), 'OK');
});

t.test('a peer that holds it is killed in the middle: another one goes on', async (t) => {
  const long = seededBytes('export long', 24 * 1024 * 1024);
  await writeFile(join(files, 'long.bin'), long);
  const { cid, away, holders } = await added(join(files, 'long.bin'));
  const parts: Uint8Array[] = [];
  let killed: LocalPeer | undefined;
  for await (const { message } of away.clients.pins.export({ path: cid })) {
    if (message.case !== 'data') continue;
    parts.push(message.value);
    if (parts.length === 8) {
      killed = holders.find((peer) => peer !== one) as LocalPeer;
      await killed.kill('SIGKILL');
    }
  }
  t.same(Buffer.compare(Buffer.concat(parts), long), 0);
  await killed?.start({ bootstrap: [one.address] });
  await until('it has joined again', async () => (await refusal(killed!.clients.pins.getPin({ cid }))) === 'OK');
});

t.test('Ctrl-C leaves nothing behind', async (t) => {
  const { cid, away } = await added(join(files, 'long.bin'));
  const to = join(here.root, 'cut');
  await mkdir(to);
  const running = spawnPinfold(['get', cid, '-o', join(to, 'long.bin'), '--host', away.host]);
  await until('it has begun', async () => (await readdir(to)).length > 0 || running.child.exitCode !== null);
  running.child.kill('SIGINT');
  const { code, stderr } = await running.ended;
  const left = await readdir(to);
  if (code === 0) t.same(left, ['long.bin'], 'it was faster');
  else {
    t.match(stderr, 'INTERRUPTED');
    t.same(left, []);
  }
});

/** Adds it at the first peer with two copies, and waits until both are there. */
async function added(file: string) {
  const { stdout } = await runPinfold(['add', file, '-r', '2', '--host', one.host, '--output', 'json']);
  const lines = stdout.trim().split('\n');
  const { root } = JSON.parse(lines.at(-1) as string);
  const { cid, allocations } = root.pin as { cid: string; allocations: string[] };
  return whereItIs(cid, allocations);
}

/** Puts the blocks into the node of the first peer, and pins the root there and at the second. */
async function imported(blocks: readonly TestBlock[], root: TestBlock) {
  const store = new BlockFiles(join(one.folder, 'ipfs', 'blocks'));
  await Promise.all(blocks.map(({ link, bytes }) => store.put(link.multihash.bytes, bytes)));
  const cid = root.link.toString();
  const userAllocations = peers.slice(0, 2).map(({ peerId }) => peerId);
  const { pin } = await one.clients.pins.pin({
    cid,
    options: { replicationMin: 2, replicationMax: 2, userAllocations },
  });
  return whereItIs(cid, pin?.allocations ?? []);
}

async function whereItIs(cid: string, allocations: readonly string[]) {
  await Promise.all(
    peers.map((peer) =>
      until(`${peer.name} knows the pin`, async () => (await refusal(peer.clients.pins.getPin({ cid }))) === 'OK'),
    ),
  );
  await pinnedOn(one, cid, allocations);
  const away = peers.find(({ peerId }) => !allocations.includes(peerId)) as LocalPeer;
  return { cid, away, holders: peers.filter(({ peerId }) => allocations.includes(peerId)) };
}

async function standardOutput(args: readonly string[]): Promise<Buffer> {
  const child = spawn(process.execPath, [fileURLToPath(new URL('../../bin/pinfold.mjs', import.meta.url)), ...args]);
  const parts: Buffer[] = [];
  child.stdout.on('data', (part) => parts.push(part));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`it ended with ${code}`);
  return Buffer.concat(parts);
}

/** Paths with their content. */
async function contentOf(folder: string): Promise<Record<string, string>> {
  const all: Record<string, string> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) all[path.slice(folder.length)] = (await readFile(path)).toString('base64');
  }
  return all;
}

function outcome(responses: AsyncIterable<ExportResponse>): Promise<string> {
  return refusal(
    (async () => {
      for await (const _ of responses);
    })(),
  );
}

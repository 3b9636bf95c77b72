import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { base32upper } from 'multiformats/bases/base32';
import { CID } from 'multiformats/cid';
import t from 'tap';
import { TrackerStatus } from '../../gen/pinfold/v1/pin_pb.ts';
import {
  type AddedNode,
  type AddedRoot,
  type AddProgress,
  AddRequestSchema,
  type AddResponse,
} from '../../gen/pinfold/v1/pin_service_pb.ts';
import { type LocalPeer, runPinfold, tryPinfold, until } from '../../scripts/local-cluster.ts';
import { daemons, held, pinnedOn, refusal, statusOn } from '../support/daemons.ts';
import { seededBytes } from '../support/seeded-bytes.ts';

const here = await daemons();
const [one, two, three] = (await here.cluster(3)) as [LocalPeer, LocalPeer, LocalPeer];
const files = join(here.root, 'files');
await mkdir(join(files, 'tree', 'empty'), { recursive: true });
await writeFile(join(files, 'hello.txt'), 'hello world\n');
await writeFile(join(files, 'nothing'), '');
await writeFile(join(files, 'tree', 'a.txt'), 'hello world\n');
await writeFile(join(files, 'tree', 'nothing'), '');
const bigBytes = 32 * 1024 * 1024;
const big = seededBytes('big file', bigBytes);
await writeFile(join(files, 'big.bin'), big);

/** Of `ipfs add`. */
const known = {
  'hello.txt': 'QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o',
  nothing: 'QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH',
};

t.test('files and directories through the command line; CIDs as Kubo makes them', async (t) => {
  for (const [name, cid] of Object.entries(known)) {
    const { root } = await addPath(one, join(files, name), '-r', '1');
    t.match(root?.pin, { cid, options: { name } });
    t.equal(root?.pin?.allocations.length, 1);
    await pinnedOn(two, cid, root!.pin!.allocations);
  }
  const { nodes, root } = await addPath(one, join(files, 'tree'), '-r', '2', '--name', 'a tree');
  t.same(nodes.map(({ path }) => path).sort(), ['tree', 'tree/a.txt', 'tree/empty', 'tree/nothing']);
  t.equal(nodes.find(({ path }) => path === 'tree/a.txt')?.cid, known['hello.txt']);
  t.equal(root?.pin?.options?.name, 'a tree');
  t.equal(root?.pin?.allocations.length, 2);
  await pinnedOn(three, root!.pin!.cid, root!.pin!.allocations);
  const wrapped = await addPath(one, join(files, 'hello.txt'), '-r', '1', '--wrap');
  t.not(wrapped.root?.pin?.cid, known['hello.txt']);
  const piped = await runPinfold(['add', '-', '-r', '1', '--host', one.host, '--output', 'json'], 'hello world\n');
  t.match(piped.stdout, known['hello.txt']);
  const missing = await tryPinfold(['add', join(files, 'no such file'), '--host', one.host]);
  t.equal(missing.code, 1);
  t.match(missing.stderr, 'CANNOT_READ');
});

t.test('a big file: progress on the way; the other allocation holds all of it when it says pinned', async (t) => {
  const responses: AddResponse['message'][] = [];
  const entries = [{ path: 'big.bin', data: big }];
  for await (const { message } of one.clients.pins.add(requests(entries, { replicationMin: 2, replicationMax: 2 })))
    responses.push(message);
  const progress = responses.flatMap(({ case: kind, value }) => (kind === 'progress' ? [Number(value.bytes)] : []));
  t.ok(progress.length >= 4, `${progress.length} messages of progress`);
  t.same(
    progress,
    [...progress].sort((a, b) => a - b),
  );
  t.ok(progress.every((bytes) => bytes > 0 && bytes <= bigBytes));
  const last = responses.at(-1);
  if (last?.case !== 'root') throw new Error('the last message is not the root');
  const { cid, allocations } = last.value.pin!;
  t.equal(allocations.length, 2);
  const sent = responses.findLast(({ case: kind }) => kind === 'progress')?.value as AddProgress;
  t.same(sent.destinations.map(({ peerId }) => peerId).sort(), [...allocations].sort());
  for (const destination of sent.destinations) {
    t.ok(destination.sentBytes >= bigBytes, `${destination.sentBytes} bytes sent`);
    t.equal(destination.blocks, sent.blocks);
    t.equal(destination.error, '');
  }

  const again = await addPath(one, join(files, 'big.bin'), '-r', '2');
  t.equal(again.root?.pin?.cid, cid, 'the command line makes the same');
  const resent = again.progress.at(-1)!.destinations.filter(({ peerId }) => allocations.includes(peerId));
  for (const { sentBlocks = 0 } of resent) t.equal(Number(sentBlocks), 0, 'what is there is not sent again');

  const peers = [one, two, three];
  const [first, second] = peers.filter(({ peerId }) => allocations.includes(peerId)) as [LocalPeer, LocalPeer];
  await pinnedOn(three, cid, allocations);
  const leaf = nameOf(CID.parse(cid));
  const there = await blocksOf(first);
  t.ok(there.has(leaf), 'the root is on its disk');
  t.ok(there.size >= bigBytes / 262_144, `${there.size} blocks`);
  t.ok((await blocksOf(second)).has(leaf));
  t.equal(await first.kill('SIGKILL'), 137);
  t.equal((await statusOn(second, cid, second.peerId))?.status, TrackerStatus.PINNED, 'alone, it still says pinned');
  await first.start({ bootstrap: [second.address] });
  await until('it has joined again', async () => (await refusal(first.clients.pins.getPin({ cid }))) === 'OK');
});

t.test('a stream that is cut pins nothing', async (t) => {
  const before = await held(one);
  const cut = new AbortController();
  async function* broken() {
    yield start({});
    yield entry('cut.bin');
    for (let i = 0; i < 8; i++) yield data(seededBytes(`cut ${i}`, 256 * 1024));
    cut.abort();
    // The rest never comes.
    await new Promise(() => {});
  }
  t.not(await outcome(one.clients.pins.add(broken(), { signal: cut.signal })), 'OK');
  // A later call is served by the same peer: what was cut is over by then or never pins.
  await addPath(one, join(files, 'hello.txt'), '-r', '1');
  t.equal((await held(one)).pins, before.pins);
});

t.test(
  'what cannot be added is refused with its field, and the client hears it although it is still sending',
  async (t) => {
    const { pins } = one.clients;
    const wrong: Record<string, MessageInitShape<typeof AddRequestSchema>[]> = {
      'no start': [entry('a')],
      'an absolute path': [start({}), entry('/etc/passwd')],
      'a path that leaves': [start({}), entry('a/../../b')],
      'an empty path': [start({}), entry('')],
      'a name twice': [start({}), entry('a'), entry('a')],
      'data without an entry': [start({}), data(new Uint8Array(10))],
      'data too large': [start({}), entry('a'), data(new Uint8Array(1024 * 1024 + 1))],
      'nothing at all': [start({})],
      'a bad option': [start({ replicationMin: 3, replicationMax: 1 }), entry('a'), data(new Uint8Array(1))],
    };
    const before = await held(one);
    for (const [what, messages] of Object.entries(wrong)) {
      t.equal(await within(outcome(pins.add(stream(messages)))), 'INVALID_ARGUMENT', what);
    }
    // The same while the client has plenty left to send, and does not listen for an end of its own accord.
    async function* endless() {
      yield start({});
      yield entry('../up');
      for (;;) yield data(new Uint8Array(256 * 1024));
    }
    t.equal(
      await within(outcome(pins.add(endless()))),
      'INVALID_ARGUMENT',
      'early, of a client that never stops sending',
    );
    t.equal((await held(one)).pins, before.pins);
    t.equal(
      await within(outcome(pins.add(stream([start({}), entry('fine')])))),
      'OK',
      'the connection is of use afterwards',
    );
  },
);

t.test('the command line shows such an error at once', async (t) => {
  const running = tryPinfold(['add', join(files, 'big.bin'), '-n', 'bad\u0001namespace', '--host', one.host]);
  const { code, stderr } = await within(running);
  t.equal(code, 1);
  t.match(stderr, 'INVALID_ARGUMENT');
});

type Entry = { path: string; data: Uint8Array<ArrayBuffer> };
type Options = { replicationMin?: number; replicationMax?: number };

function start(options: Options) {
  return create(AddRequestSchema, { message: { case: 'start', value: { options } } });
}

function entry(path: string) {
  return create(AddRequestSchema, { message: { case: 'entry', value: { path } } });
}

function data(value: Uint8Array<ArrayBuffer>) {
  return create(AddRequestSchema, { message: { case: 'data', value } });
}

async function* stream(messages: MessageInitShape<typeof AddRequestSchema>[]) {
  yield* messages;
}

async function* requests(entries: Entry[], options: Options) {
  yield start(options);
  for (const { path, data: content } of entries) {
    yield entry(path);
    for (let at = 0; at < content.length; at += 1024 * 1024) yield data(content.subarray(at, at + 1024 * 1024));
  }
}

function outcome(responses: AsyncIterable<unknown>): Promise<string> {
  return refusal(
    (async () => {
      for await (const _ of responses);
    })(),
  );
}

/** Fails where a hang would otherwise end the whole file. */
function within<T>(call: Promise<T>, ms = 20_000): Promise<T> {
  let timer: NodeJS.Timeout;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  return Promise.race([call, late]).finally(() => clearTimeout(timer));
}

async function addPath(peer: LocalPeer, ...args: string[]) {
  const { stdout } = await runPinfold(['add', ...args, '--host', peer.host, '--output', 'json']);
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  return {
    nodes: lines.flatMap(({ node }) => (node === undefined ? [] : [node as AddedNode])),
    progress: lines.flatMap(({ progress }) => (progress === undefined ? [] : [progress as AddProgress])),
    root: lines.find(({ root }) => root !== undefined)?.root as AddedRoot | undefined,
  };
}

/** Names of the block files of that peer's node. */
async function blocksOf(peer: LocalPeer): Promise<Set<string>> {
  const all = await readdir(join(peer.folder, 'ipfs'), { recursive: true });
  return new Set(all.filter((file) => file.endsWith('.data')).map((file) => file.split('/').at(-1) as string));
}

const nameOf = (cid: CID) => `${base32upper.encode(cid.multihash.bytes)}.data`;

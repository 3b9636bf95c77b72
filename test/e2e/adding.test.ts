import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Pin } from '../../gen/pinfold/v1/pin_pb.ts';
import { ContentFormat } from '../../gen/pinfold/v1/pin_service_pb.ts';
import { type LocalPeer, runPinfold, until } from '../../scripts/local-cluster.ts';
import { addStream, carOfFile, digestOf, exported, seededPieces, smallFiles } from '../support/adding.ts';
import { acquainted, daemons, held, pinnedOn, refusal } from '../support/daemons.ts';

const here = await daemons();
const peers = (await here.cluster(3)) as [LocalPeer, LocalPeer, LocalPeer];
const [one, two] = peers;
const twice = { options: { replicationMin: 2, replicationMax: 2 } };
const isLong = process.env.TEST_LONG === '1';
const MiB = 2 ** 20;

/** Two of them have it; the third does not. */
function withoutIt(t: Test, allocations: readonly string[]): LocalPeer {
  t.equal(new Set(allocations).size, 2);
  return peers.find(({ peerId }) => !allocations.includes(peerId)) as LocalPeer;
}

t.test('a big file: on its two peers when the answer comes, and read back byte by byte at the third', async (t) => {
  const bytes = isLong ? 1024 * MiB : 64 * MiB;
  const { cid, allocations, progress } = await addStream(one, twice, seededPieces('big', bytes));
  t.same(progress?.destinations.map(({ peerId }) => peerId).sort(), [...allocations].sort());
  const reader = withoutIt(t, allocations);
  await pinnedOn(reader, cid, allocations);
  t.equal(await digestOf(exported(reader, cid)), await digestOf(seededPieces('big', bytes)));
});

t.test('many small files, and the same tree comes back', async (t) => {
  const [folders, each] = isLong ? [1_000, 100] : [50, 100];
  const tree = join(here.root, 'tree');
  await smallFiles(tree, folders, each);
  const { stdout } = await runPinfold(['add', tree, '-r', '2', '-Q', '--wait', '--host', two.host]);
  const [cid = ''] = stdout.split('\n');
  const { pin } = await one.clients.pins.getPin({ cid });
  const reader = withoutIt(t, pin!.allocations);
  const out = join(here.root, 'tree again');
  await runPinfold(['get', cid, '-o', out, '--host', reader.host]);
  for (const folder of await readdir(tree)) {
    t.same((await readdir(join(out, folder))).sort(), (await readdir(join(tree, folder))).sort(), folder);
    const last = `file-${each - 1}.txt`;
    t.same(await readFile(join(out, folder, last)), await readFile(join(tree, folder, last)), folder);
  }
});

t.test('a CAR', async (t) => {
  const car = carOfFile('car', isLong ? 2_000 : 128);
  const start = { ...twice, format: ContentFormat.CAR };
  const { cid, allocations } = await addStream(two, start, car.pieces());
  t.equal(cid, car.root.toString());
  const reader = withoutIt(t, allocations);
  await pinnedOn(reader, cid, allocations);
  const leaves = car.pieces();
  leaves.next();
  const whole = async function* () {
    // A section of a leaf begins with 3 bytes of length and 36 of its CID.
    for (const piece of leaves) yield piece.subarray(39);
  };
  t.equal(await digestOf(exported(reader, cid)), await digestOf(whole()));

  const before = await held(one);
  const incomplete = [...carOfFile('incomplete', 8).pieces()].slice(0, -1);
  t.equal(await refusal(addStream(two, start, incomplete)), 'INVALID_ARGUMENT');
  t.equal((await held(one)).pins, before.pins);
});

/**
 * Kill -9 at an instant that the seed chooses: after it either the answer has been a root, and then the content is whole at its peers, or
 * nothing is pinned.
 */
async function killed(t: Test, seed: number, dying: LocalPeer, min: number): Promise<void> {
  const content = `killed ${seed}`;
  const bytes = 12 * MiB;
  const at = (seed * 7) % 24;
  const start = { options: { name: content, replicationMin: min, replicationMax: 2 } };
  let killing: Promise<unknown> | undefined;
  const receiver = peers[seed % 3] as LocalPeer;
  const outcome = await addStream(receiver, start, seededPieces(content, bytes), async (piece) => {
    if (piece === at) killing = dying.kill('SIGKILL');
    // It dies while the add goes on.
    if (piece === at + 2) await killing;
  }).catch((error) => error as Error);
  await killing;
  const rest = peers.filter((peer) => peer !== dying);
  await dying.start({ bootstrap: [rest[0]!.address] });
  await acquainted(peers);
  await until('all agree', async () => {
    const now = await Promise.all(peers.map((peer) => held(peer)));
    return now.every(({ digest }) => digest === now[0]!.digest);
  });
  const found: Pin[] = [];
  const filter = { name: { case: 'nameEquals' as const, value: content } };
  for await (const { pins } of one.clients.pins.listPins({ filter })) found.push(...pins);
  t.comment(`seed ${seed}: ${outcome instanceof Error ? outcome.message : 'pinned'}`);
  // The commit may have been the last that the receiver did: an error then says that the outcome is not known.
  if (outcome instanceof Error && dying !== receiver) t.equal(found.length, 0, outcome.message);
  if (!(outcome instanceof Error)) t.equal(found.length, 1);
  for (const { cid, allocations } of found) {
    await pinnedOn(one, cid, allocations);
    for (const peer of peers)
      t.equal(await digestOf(exported(peer, cid)), await digestOf(seededPieces(content, bytes)));
  }
}

t.test('kill -9 of the peer that receives it', async (t) => {
  for (const seed of isLong ? [1, 2, 3, 4, 5, 6, 7, 8] : [1, 2]) await killed(t, seed, peers[seed % 3] as LocalPeer, 1);
});

t.test('kill -9 of another: with as many as are needed left the add goes on, below it fails', async (t) => {
  for (const seed of isLong ? [11, 12, 13, 14, 15, 16, 17, 18] : [11, 12]) {
    await killed(t, seed, peers[(seed + 1) % 3] as LocalPeer, (seed % 2) + 1);
  }
});

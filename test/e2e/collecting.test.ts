import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import type { CollectGarbageResponse } from '../../gen/pinfold/v1/peer_service_pb.ts';
import { type LocalPeer, runPinfold, spawnPinfold, tryPinfold, until } from '../../scripts/local-cluster.ts';
import { daemons, pinnedOn, refusal } from '../support/daemons.ts';
import { HeldAdd } from '../support/held-add.ts';
import { seededBytes } from '../support/seeded-bytes.ts';

const here = await daemons();
const [one, two, three] = (await here.cluster(3)) as [LocalPeer, LocalPeer, LocalPeer];
const all = [one, two, three];

t.test('what is unpinned goes from the nodes that are named, and what is pinned stays', async (t) => {
  const [kept, gone] = [await add('kept', 1_000_000), await add('gone', 3_000_000)];
  const everywhere = all.map(({ peerId }) => peerId);
  for (const cid of [kept, gone]) await pinnedOn(one, cid, everywhere);
  const before = await Promise.all(all.map(blockCount));
  await one.clients.pins.unpin({ cid: gone });
  await Promise.all(all.map((peer) => until('it is unpinned there', () => isFree(peer, gone))));

  const here = await pinfold('ipfs', 'gc');
  t.match(here.stdout, new RegExp(`^${one.peerId}  peer-1  13 blocks removed, 2\\.9 MiB\n$`));
  t.equal(await blockCount(one), before[0]! - 13);
  t.equal(await blockCount(two), before[1]!, 'nobody else was named');

  const named = await pinfold('ipfs', 'gc', two.peerId, '--verbose');
  t.match(named.stderr, `${two.peerId}  peer-2  13 blocks removed`);
  t.equal(new Set(named.stdout.trim().split('\n')).size, 13, 'each CID once');

  const messages = (await pinfold('ipfs', 'gc', '--all', '--parallel', '2', '--output', 'json')).stdout.trim();
  const last = JSON.parse(messages.split('\n').at(-1) ?? '');
  t.match(last, { summary: { nodes: 3, blocks: '13' } }, 'of the third peer');
  t.same(
    await Promise.all(all.map(blockCount)),
    before.map((count) => count - 13),
  );
  await pinnedOn(two, kept, everywhere);
  t.match((await pinfold('ipfs', 'gc', '--all')).stdout, /\n3 nodes {2}0 blocks removed\n$/);
});

t.test('an add under way loses nothing: the collection waits for it', async (t) => {
  const before = await blockCount(one);
  const adding = new HeldAdd(one, 'slow.bin');
  await until('its first blocks are on the disk', async () => (await blockCount(one)) >= before + 3);
  const collection = new Collection(one);
  await until('the collection has begun', () => collection.told.length > 0);
  adding.goOn();
  const cid = await adding.root;
  t.match(await collection.ended, { summary: { nodes: 1, failed: 0 } });
  // The others have it from there.
  const everywhere = all.map(({ peerId }) => peerId);
  await pinnedOn(two, cid, everywhere);
  t.ok((await blockCount(one)) > before + 64, 'all of it is there');
});

t.test('cancelled, it ends, and no further one begins; the nodes can collect again', async (t) => {
  const before = await blockCount(two);
  const adding = new HeldAdd(two, 'holds.bin');
  await until('the add has the collection wait', async () => (await blockCount(two)) >= before + 3);
  const running = spawnPinfold(['ipfs', 'gc', two.peerId, three.peerId, '--host', one.host, '--output', 'json']);
  await until('it is under way', () => running.stdout().includes(two.peerId));
  t.equal(await outcome(two), 'IPFS_FAILED', 'a node has one collection at a time');
  running.child.kill('SIGINT');
  const { stdout } = await running.ended;
  t.notMatch(stdout, three.peerId);
  // It waits for the add then, to its deadline: whichever of the two sides tells of that first.
  await until('the node is free again', async () => /^(DEADLINE|4: )/.test(await outcome(two, 500)));
  adding.goOn();
  await adding.root;
  t.equal(await outcome(two), 'OK');
});

t.test('what cannot be done', async (t) => {
  const stranger = '12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf';
  t.match((await tryPinfold(['ipfs', 'gc', stranger, '--host', one.host])).stderr, 'PEER_NOT_FOUND');
  t.equal((await tryPinfold(['ipfs', 'gc', one.peerId, '--all', '--host', one.host])).code, 2);
  t.equal((await tryPinfold(['ipfs', 'gc', '--parallel', '0', '--host', one.host])).code, 2);
  await three.clients.peers.trustPeer({ replace: { peerIds: [two.peerId] } });
  await two.kill('SIGTERM');
  const partly = await tryPinfold(['ipfs', 'gc', '--all', '--host', one.host]);
  t.equal(partly.code, 1);
  t.match(partly.stdout, new RegExp(`${one.peerId}  peer-1  \\d+ blocks? removed`));
  t.match(partly.stdout, new RegExp(`${two.peerId}.*PEER_UNREACHABLE`));
  t.match(partly.stdout, new RegExp(`${three.peerId}.*PERMISSION_DENIED`), 'only for peers that it trusts');
  t.match(partly.stderr, '2 of 3 nodes did not collect');
});

const pinfold = (...args: string[]) => runPinfold([...args, '--host', one.host]);

async function add(name: string, bytes: number): Promise<string> {
  const file = join(here.root, name);
  await writeFile(file, seededBytes(name, bytes));
  const { stdout } = await pinfold('add', file, '-r', '-1', '--output', 'json');
  const root = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
  return root.root.pin.cid;
}

/** A collection on the peer's own node, read as it goes. */
class Collection {
  readonly told: CollectGarbageResponse['event']['case'][] = [];
  readonly ended: Promise<unknown>;

  constructor(peer: LocalPeer) {
    this.ended = this.#read(peer);
  }

  async #read(peer: LocalPeer): Promise<unknown> {
    let last: CollectGarbageResponse | undefined;
    for await (last of peer.clients.peers.collectGarbage({})) this.told.push(last.event.case);
    return last?.event.case === 'summary' ? { summary: last.event.value } : last;
  }
}

/** Of a collection on the peer's own node: OK, or the reason why it failed. */
async function outcome(peer: LocalPeer, timeoutMs?: number): Promise<string> {
  let failure = '';
  const collected = async () => {
    for await (const { event } of peer.clients.peers.collectGarbage({}, timeoutMs === undefined ? {} : { timeoutMs }))
      if (event.case === 'node') failure ||= event.value.error?.reason ?? '';
  };
  const reason = await refusal(collected());
  return failure === '' ? reason : failure;
}

async function blockCount(peer: LocalPeer): Promise<number> {
  const files = await readdir(join(peer.folder, 'ipfs'), { recursive: true });
  return files.filter((file) => file.endsWith('.data')).length;
}

async function isFree(peer: LocalPeer, cid: string): Promise<boolean> {
  return (await refusal(peer.clients.pins.getPinStatus({ cid }))) === 'PIN_NOT_FOUND';
}

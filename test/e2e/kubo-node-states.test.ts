import { readFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import t from 'tap';
import { IpfsNodeState } from '../../gen/pinfold/v1/peer_service_pb.ts';
import { runPinfold, spawnPinfold, until } from '../../scripts/local-cluster.ts';
import { ipfsNetworkKey } from '../../src/daemon/ipfs-key.ts';
import { daemons, ipfsStateOf } from '../support/daemons.ts';
import { alertsOf } from '../support/folders.ts';
import { filesOnlyAt, KuboNode, withoutKubo } from '../support/kubo.ts';
import { kuboProxy } from '../support/kubo-proxy.ts';

/** Each state of a Kubo has its name wherever an operator looks, and leaves no trace there when it is over. */
t.test('the states of a Kubo in id, health and metrics', { skip: withoutKubo, timeout: 240_000 }, async (t) => {
  const here = await daemons();
  const swarmKey = ipfsNetworkKey(Buffer.from(await readFile(here.secretFile, 'utf8'), 'hex'));
  const kubo = await KuboNode.start(t, { swarmKey });
  let answer: Answer = () => false;
  const address = await kuboProxy(t, kubo, (command, _query, response) => answer(command, response));
  const peer = await here.make('peer', ['--ipfs-kind=kubo', `--ipfs-api=${address}`]);
  await peer.start();
  await isUp();

  async function isUp(): Promise<void> {
    await until('it is up', async () => (await ipfsStateOf(peer)) === 'up');
    await until('no alert stands', async () => (await alertsOf(peer)).every((kind) => !kind.startsWith('IPFS_')));
    const { peer: shown } = await peer.clients.peers.getPeer({});
    t.equal(shown?.ipfs?.state, IpfsNodeState.UP);
  }

  async function isShown(name: StateName, detail: RegExp): Promise<void> {
    await until(`it is ${name}`, async () => (await ipfsStateOf(peer)) === name);
    const kind = `IPFS_${name.toUpperCase()}`;
    await until(`the alert ${kind}`, async () => (await alertsOf(peer)).includes(kind));
    t.match((await runPinfold(['health', '--host', peer.host])).stdout, kind);
    const { stdout } = await runPinfold(['id', '--host', peer.host]);
    t.match(stdout, new RegExp(`${name}: .*${detail.source}`));
    const { peer: shown } = await peer.clients.peers.getPeer({});
    t.equal(shown?.ipfs?.state, IpfsNodeState[name.toUpperCase() as Uppercase<StateName>]);
  }

  for (const [name, detail, how] of told) {
    await t.test(name, async () => {
      answer = how;
      await isShown(name, detail);
      answer = () => false;
      await isUp();
    });
  }

  await t.test('collecting', async (t) => {
    // A pin of others that lacks a block holds the lock that a collection needs.
    const [cid = ''] = await filesOnlyAt(kubo, join(here.root, 'files'), { count: 1, bytes: 600_000 });
    const [leaf = ''] = (await kubo.ipfs('refs', cid)).split('\n');
    await kubo.ipfs('block', 'rm', leaf);
    const unfinished = new AbortController();
    const pinOfOthers = await fetch(`${kubo.rpcUrl}/pin/add?arg=${cid}&progress=true`, {
      method: 'POST',
      signal: unfinished.signal,
    });
    await pinOfOthers.body?.getReader().read();
    const collecting = spawnPinfold(['ipfs', 'gc', '--host', peer.host]);
    await isShown('collecting', /./);
    unfinished.abort();
    const { code, stderr } = await collecting.ended;
    t.equal(code, 0, stderr);
    await isUp();
  });
});

type StateName = 'unauthorized' | 'other_identity' | 'no_space' | 'down' | 'collecting';
type Answer = (command: string, response: ServerResponse) => boolean;

/** What the node, or a proxy before it, answers; `detail` is in what people read. */
const told: [name: StateName, detail: RegExp, how: Answer][] = [
  [
    'unauthorized',
    /./,
    (_command, response) => {
      response.writeHead(401).end('401 - Unauthorized');
      return true;
    },
  ],
  [
    'other_identity',
    /12D3KooW/,
    (command, response) => {
      if (command !== 'id') return false;
      const peerId = '12D3KooWGRUfmcUBqsqUTkNtxDBHNTzGPvLkvTAuCzjEjLAYqC1y';
      response.end(JSON.stringify({ ID: peerId, Addresses: [], AgentVersion: 'kubo/0.42.0/' }));
      return true;
    },
  ],
  [
    'no_space',
    /./,
    (command, response) => {
      if (command !== 'diag/sys') return false;
      response.end('{"diskinfo":{"free_space":1000000}}');
      return true;
    },
  ],
  [
    'down',
    /does not answer/,
    (_command, response) => {
      response.destroy();
      return true;
    },
  ],
];

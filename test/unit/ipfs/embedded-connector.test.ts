import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { base32upper } from 'multiformats/bases/base32';
import t, { type Test } from 'tap';
import { SOURCES_MAX } from '../../../src/ipfs/constants.ts';
import { embeddedConnector } from '../../../src/ipfs/embedded/embedded-connector.ts';
import { systemClock, systemTimers } from '../../../src/runtime/clock.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { noMetrics } from '../../../src/runtime/metrics.ts';
import { connectorSuite, failsWith, type TestNode } from '../../suites/connector.suite.ts';
import { connectorPathsSuite } from '../../suites/connector-paths.suite.ts';
import { dag, type TestBlock } from '../../suites/dags.ts';

const needs = { clock: systemClock, timers: systemTimers, logger: silentLogger, metrics: noMetrics };
const keys = { one: new Uint8Array(32).fill(1), other: new Uint8Array(32).fill(2) };
const signal = new AbortController().signal;

async function folderFor(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pinfold-ipfs-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

function fileOf(folder: string, block: TestBlock): string {
  const name = base32upper.encode(block.link.multihash.bytes);
  return join(folder, 'blocks', name.slice(-2), `${name}.data`);
}

async function makeNode(t: Test, { network = 'one' }: { network?: 'one' | 'other' } = {}) {
  const folder = await folderFor(t);
  const init = {
    agent: 'pinfold/1.2.3',
    folder,
    listenAddresses: ['/ip4/127.0.0.1/tcp/0'],
    network: { kind: 'private' as const, key: keys[network] },
  };
  const node: TestNode & { folder: string } = {
    folder,
    connector: embeddedConnector(init, needs),
    lose: (block) => rm(fileOf(folder, block), { force: true }),
    restart: async () => {
      await node.connector.stop();
      node.connector = embeddedConnector(init, needs);
      await node.connector.start();
    },
  };
  t.teardown(() => node.connector.stop());
  await node.connector.start();
  return node;
}

connectorSuite(t, makeNode);
connectorPathsSuite(t, makeNode);

t.test('the key is made once, and nobody else can read it', async (t) => {
  const node = await makeNode(t);
  const path = join(node.folder, 'node.key');
  t.equal((await stat(path)).mode & 0o777, 0o600);
  t.equal((await stat(node.folder)).mode & 0o777, 0o700);
  t.match((await node.connector.id({ signal })).peerId, /^12D3KooW/);
});

t.test('half blocks that a crash left behind are gone after the start', async (t) => {
  const node = await makeNode(t);
  await writeFile(join(node.folder, 'blocks', 'tmp', '17'), 'half a block');
  await node.restart();
  t.same(await readdir(join(node.folder, 'blocks', 'tmp')), []);
});

t.test('a spoilt block is fetched again, not walked', async (t) => {
  const [from, to] = [await makeNode(t), await makeNode(t)];
  const { root, blocks } = dag('spoilt');
  await from.connector.putBlocks(blocks, { signal });
  await to.connector.putBlocks(blocks, { signal });
  await writeFile(fileOf(to.folder, root), 'spoilt');
  const { addresses } = await from.connector.id({ signal });
  await to.connector.pin({ cid: root.cid, mode: 'recursive', sources: addresses }, { signal, stallTimeoutMs: 8_000 });
  t.same(await to.connector.getBlock(root.cid, { signal }), root.bytes);
});

t.test('a start that fails leaves nothing behind', async (t) => {
  const folder = await folderFor(t);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as { port: number };
  const make = () =>
    embeddedConnector(
      {
        agent: 'pinfold/1',
        folder,
        listenAddresses: [`/ip4/127.0.0.1/tcp/${port}`],
        network: { kind: 'private', key: keys.one },
      },
      needs,
    );
  await t.rejects(make().start());
  await new Promise((resolve) => server.close(resolve));
  const again = make();
  await again.start();
  t.match((await again.id({ signal })).addresses[0], new RegExp(`/tcp/${port}/`));
  await again.stop();
});

t.test('a public node and a private one do not understand each other', async (t) => {
  const node = await makeNode(t);
  const folder = await folderFor(t);
  const init = {
    agent: 'pinfold/1',
    folder,
    listenAddresses: ['/ip4/127.0.0.1/tcp/0'],
    network: { kind: 'public' as const },
  };
  const open = embeddedConnector(init, needs);
  t.teardown(() => open.stop());
  await open.start();
  const { root, blocks } = dag('public');
  await open.putBlocks(blocks, { signal });
  const { addresses } = await open.id({ signal });
  const wish = { cid: root.cid, mode: 'recursive' as const, sources: addresses };
  await failsWith(t, node.connector.pin(wish, { signal, stallTimeoutMs: 300 }), 'NO_PROVIDER');
});

t.test('among many sources that are away, the one that is there has its turn', async (t) => {
  const [from, to] = [await makeNode(t), await makeNode(t)];
  const { root, blocks } = dag('many sources');
  await from.connector.putBlocks(blocks, { signal });
  const away = await Promise.all(
    Array.from({ length: SOURCES_MAX + 4 }, async () => {
      const peerId = peerIdFromPrivateKey(await generateKeyPair('Ed25519'));
      return `/ip4/127.0.0.1/tcp/1/p2p/${peerId}`;
    }),
  );
  const { addresses, peerId } = await from.connector.id({ signal });
  const sources = [...away, 'no address', '/ip4/127.0.0.1/tcp/1', `/spoilt/p2p/${peerId}`, ...addresses];
  await to.connector.pin({ cid: root.cid, mode: 'recursive', sources }, { signal, stallTimeoutMs: 2_000 });
  t.same(await to.connector.getBlock(root.cid, { signal }), root.bytes);
});

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { withBitswap } from '@helia/bitswap';
import { identify } from '@libp2p/identify';
import { preSharedKey } from '@libp2p/pnet';
import { tcp } from '@libp2p/tcp';
import { multiaddr } from '@multiformats/multiaddr';
import { MemoryBlockstore } from 'blockstore-core';
import { createHeliaLight } from 'helia';
import { createLibp2p } from 'libp2p';
import t, { type Test } from 'tap';
import { embeddedConnector } from '../../src/ipfs/embedded/embedded-connector.ts';
import { formatSwarmKey } from '../../src/ipfs/swarm-key.ts';
import { systemClock, systemTimers } from '../../src/runtime/clock.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { noMetrics } from '../../src/runtime/metrics.ts';
import { wideDag } from '../suites/dags.ts';

/** Helia, with its own bitswap and libp2p's own protector: written by others from the same specifications. */

const key = new Uint8Array(32).fill(9);
const signal = new AbortController().signal;

async function ours(t: Test) {
  const folder = await mkdtemp(join(tmpdir(), 'pinfold-ipfs-'));
  const node = embeddedConnector(
    { agent: 'pinfold/1', folder, listenAddresses: ['/ip4/127.0.0.1/tcp/0'], network: { kind: 'private', key } },
    { clock: systemClock, timers: systemTimers, logger: silentLogger, metrics: noMetrics },
  );
  t.teardown(async () => {
    await node.stop();
    await rm(folder, { recursive: true, force: true });
  });
  await node.start();
  return node;
}

async function theirs(t: Test) {
  const libp2p = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify() },
    connectionProtector: preSharedKey({ psk: new TextEncoder().encode(formatSwarmKey(key)) }),
  });
  const blockstore = new MemoryBlockstore();
  const helia = withBitswap(Object.assign(createHeliaLight({ blockstore }), { libp2p }));
  await helia.start();
  t.teardown(async () => {
    await helia.stop();
    await libp2p.stop();
  });
  return { helia, libp2p };
}

t.test('we fetch from Helia', async (t) => {
  const [node, { helia, libp2p }] = [await ours(t), await theirs(t)];
  const { root, blocks } = wideDag('from helia', 100, 20_000);
  for (const block of blocks) await helia.blockstore.put(block.link, block.bytes);
  const sources = libp2p.getMultiaddrs().map(String);
  await node.pin({ cid: root.cid, mode: 'recursive', sources }, { signal, stallTimeoutMs: 10_000 });
  t.equal(await node.pinned(root.cid, { signal }), 'recursive');
  for (const block of blocks) t.same(await node.getBlock(block.cid, { signal }), block.bytes);
});

t.test('Helia fetches from us', async (t) => {
  const [node, { helia, libp2p }] = [await ours(t), await theirs(t)];
  const { blocks } = wideDag('to helia', 100, 20_000);
  await node.putBlocks(blocks, { signal });
  const { addresses } = await node.id({ signal });
  await libp2p.dial(addresses.map((address) => multiaddr(address)));
  await Promise.all(
    blocks.map(async (block) => {
      const pieces: Uint8Array[] = [];
      for await (const piece of helia.blockstore.get(block.link)) pieces.push(piece);
      t.equal(Buffer.compare(Buffer.concat(pieces), block.bytes), 0);
    }),
  );
});

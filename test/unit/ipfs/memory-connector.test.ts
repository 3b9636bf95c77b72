import t from 'tap';
import { IpfsWorld } from '../../../src/ipfs/memory/ipfs-world.ts';
import { memoryConnector } from '../../../src/ipfs/memory/memory-connector.ts';
import { MemoryDisk } from '../../../src/ipfs/memory/memory-disk.ts';
import { systemClock, systemTimers } from '../../../src/runtime/clock.ts';
import { connectorSuite, failsWith, keepAlive, type NodeMaker, type TestNode } from '../../suites/connector.suite.ts';
import { connectorPathsSuite } from '../../suites/connector-paths.suite.ts';
import { dag, leaf } from '../../suites/dags.ts';

const needs = { clock: systemClock, timers: systemTimers };
const signal = new AbortController().signal;

keepAlive(t);

const worlds = new WeakMap<object, IpfsWorld>();
let serial = 0;

const makeNode: NodeMaker = async (t, { network = 'one' } = {}) => {
  const world = worlds.get(t) ?? new IpfsWorld(needs);
  worlds.set(t, world);
  const init = { peerId: `node-${serial++}`, world, disk: new MemoryDisk(), networkKey: network };
  const node: TestNode = {
    connector: memoryConnector(init, needs),
    lose: async (block) => {
      await init.disk.blocks.remove(block.link.multihash.bytes, () => false);
    },
    restart: async () => {
      await node.connector.stop();
      node.connector = memoryConnector(init, needs);
      await node.connector.start();
    },
  };
  t.teardown(() => node.connector.stop());
  await node.connector.start();
  return node;
};

connectorSuite(t, makeNode);
connectorPathsSuite(t, makeNode);

async function started(options: { isInstant?: boolean; world?: IpfsWorld; disk?: MemoryDisk } = {}) {
  const { world = new IpfsWorld(needs), ...others } = options;
  const connector = memoryConnector({ peerId: `node-${serial++}`, world, ...others }, needs);
  await connector.start();
  return connector;
}

const wish = (cid: Uint8Array, sources: readonly string[] = []) => ({ cid, mode: 'recursive' as const, sources });

t.test('an instant node has pinned at once what nobody has', async (t) => {
  const connector = await started({ isInstant: true });
  const { root } = dag('instant');
  await connector.pin(wish(root.cid), { signal, stallTimeoutMs: 1 });
  t.equal(await connector.pinned(root.cid, { signal }), 'recursive');
});

t.test('a node that is down answers nothing', async (t) => {
  const connector = await started();
  connector.faults.isDown = true;
  const { root } = dag('down');
  await failsWith(t, connector.id({ signal }), 'UNREACHABLE');
  await failsWith(t, connector.pin(wish(root.cid), { signal, stallTimeoutMs: 1 }), 'UNREACHABLE');
  connector.faults.isDown = false;
  t.equal(await connector.pinned(root.cid, { signal }), 'none');
});

t.test('a full disk ends a pin', async (t) => {
  const world = new IpfsWorld(needs);
  const [from, to] = [await started({ world }), await started({ world, disk: new MemoryDisk(100) })];
  const { root, blocks } = dag('full');
  await from.putBlocks(blocks, { signal });
  const { addresses } = await from.id({ signal });
  await failsWith(t, to.pin(wish(root.cid, addresses), { signal, stallTimeoutMs: 1_000 }), 'DISK_FULL');
  t.equal(await to.pinned(root.cid, { signal }), 'none');
});

t.test('a source that falls silent half-way stalls the pin', async (t) => {
  const world = new IpfsWorld(needs, { latencyMs: 1 });
  const [from, to] = [await started({ world }), await started({ world })];
  const { root, blocks } = dag('silent');
  await from.putBlocks(blocks, { signal });
  from.faults.sendsLeft = 3;
  const { addresses } = await from.id({ signal });
  await failsWith(t, to.pin(wish(root.cid, addresses), { signal, stallTimeoutMs: 100 }), 'PIN_STALLED');
});

t.test('a lying node says pinned without having anything', async (t) => {
  const connector = await started();
  connector.faults.isLying = true;
  const one = leaf('a lie');
  await connector.pin(wish(one.cid), { signal, stallTimeoutMs: 1 });
  t.equal(await connector.pinned(one.cid, { signal }), 'recursive');
  t.equal(await connector.getBlock(one.cid, { signal }), undefined);
});

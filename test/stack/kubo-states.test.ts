import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { parseRpcAddress } from '../../src/ipfs/kubo/address.ts';
import { KuboConnector, type KuboInit } from '../../src/ipfs/kubo/kubo-connector.ts';
import type { NodeStateName } from '../../src/ipfs/node-state.ts';
import { systemClock, systemTimers } from '../../src/runtime/clock.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { noMetrics } from '../../src/runtime/metrics.ts';
import { failsWith, keepAlive } from '../suites/connector.suite.ts';
import { dag, leaf } from '../suites/dags.ts';
import { emptyFolder, KuboNode, withoutKubo } from '../support/kubo.ts';
import { kuboProxy } from '../support/kubo-proxy.ts';

const needs = { clock: systemClock, timers: systemTimers, logger: silentLogger, metrics: noMetrics };
const signal = new AbortController().signal;
const options = { skip: withoutKubo, timeout: 60_000 };

keepAlive(t);

async function tempFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pinfold-kubo-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function connectorOf(t: Test, address: string, init: Partial<KuboInit> = {}): Promise<KuboConnector> {
  const folder = init.folder ?? (await tempFolder(t));
  const connector = new KuboConnector({ address: parseRpcAddress(address), folder, ...init }, needs);
  t.teardown(() => connector.stop());
  await connector.start();
  return connector;
}

function wish(cid: Uint8Array) {
  return { cid, mode: 'recursive' as const, sources: [] };
}

async function isIn(connector: KuboConnector, ...states: NodeStateName[]): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!states.includes(connector.states.current.name)) {
    const { name, detail } = connector.states.current;
    if (performance.now() > deadline) throw new Error(`still ${name} (${detail}), not ${states}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

t.test('a node that is not there when the peer starts is waited for', options, async (t) => {
  const kubo = await KuboNode.start(t);
  await kubo.stop();
  const connector = await connectorOf(t, kubo.api, { restartMs: 300 });
  await failsWith(t, connector.id({ signal }), 'UNREACHABLE');
  await isIn(connector, 'down');
  t.match(connector.states.current.detail, /ECONNREFUSED/);
  await failsWith(t, connector.pinned(leaf('x').cid, { signal }), 'UNREACHABLE');
  await failsWith(t, connector.space({ signal }), 'UNREACHABLE');
  await kubo.start();
  await isIn(connector, 'up');
  t.equal(await connector.pinned(leaf('x').cid, { signal }), 'none');
});

t.test('while it restarts short calls wait for it, and pins are put off', options, async (t) => {
  const kubo = await KuboNode.start(t);
  const connector = await connectorOf(t, kubo.api);
  const { root, blocks } = dag('restarting');
  await connector.putBlocks(blocks, { signal });
  await kubo.stop();
  const asked = Promise.all([
    connector.getBlock(root.cid, { signal }),
    connector.putBlocks([leaf('while it restarts')], { signal }),
    connector.unpin(leaf('of another wish').cid, { signal }),
  ]);
  await isIn(connector, 'restarting');
  await failsWith(t, connector.pin(wish(root.cid), { signal, stallTimeoutMs: 5_000 }), 'UNREACHABLE');
  await kubo.start();
  const [bytes] = await asked;
  t.same(bytes, root.bytes);
  await connector.pin(wish(root.cid), { signal, stallTimeoutMs: 5_000 });
  t.equal(await connector.pinned(root.cid, { signal }), 'recursive');
});

t.test('a node that dies under a pin leaves no pin, and the pin is no success', options, async (t) => {
  const kubo = await KuboNode.start(t);
  const connector = await connectorOf(t, kubo.api);
  const { root, blocks } = dag('dies');
  await connector.putBlocks(blocks.slice(1), { signal });
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const pinned = connector.pin(wish(root.cid), { signal, stallTimeoutMs: 20_000, onProgress: () => begin() });
  await begun;
  // Listened for before the node dies, as it may be told of at once.
  const failed = failsWith(t, pinned, 'UNREACHABLE');
  await kubo.stop('SIGKILL');
  await failed;
  await kubo.start();
  t.equal(await connector.pinned(root.cid, { signal }), 'none');
});

t.test('a node that hangs is told from one that thinks', options, async (t) => {
  const kubo = await KuboNode.start(t);
  const connector = await connectorOf(t, kubo.api, { restartMs: 100, watchIntervalMs: 100 });
  kubo.signal('SIGSTOP');
  await isIn(connector, 'down');
  t.match(connector.states.current.detail, /did not answer within/);
  await failsWith(t, connector.pinned(leaf('x').cid, { signal }), 'UNREACHABLE');
  kubo.signal('SIGCONT');
  await isIn(connector, 'up');
});

t.test('a stop does not wait for a node that hangs', options, async (t) => {
  const kubo = await KuboNode.start(t);
  const connector = await connectorOf(t, kubo.api);
  const { root, blocks } = dag('stop');
  await connector.putBlocks(blocks.slice(1), { signal });
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const pinned = connector.pin(wish(root.cid), { signal, stallTimeoutMs: 60_000, onProgress: () => begin() });
  await begun;
  kubo.signal('SIGSTOP');
  const sinceMs = performance.now();
  const failed = failsWith(t, pinned, 'UNREACHABLE');
  await connector.stop();
  await failed;
  t.ok(performance.now() - sinceMs < 12_000, `${Math.round(performance.now() - sinceMs)} ms`);
});

t.test('another node at the same address is asked nothing', options, async (t) => {
  const [kubo, other] = [await KuboNode.start(t), await KuboNode.start(t)];
  const connector = await connectorOf(t, kubo.api, { folder: kubo.folder });
  const mine = await connector.id({ signal });
  await other.ipfs('pin', 'rm', emptyFolder);
  const { root, blocks } = dag('their pin');
  const theirs = await connectorOf(t, other.api);
  await theirs.putBlocks(blocks, { signal });
  await theirs.pin(wish(root.cid), { signal, stallTimeoutMs: 5_000 });
  await theirs.stop();
  await Promise.all([kubo.stop(), other.stop()]);
  await other.replace(kubo);
  await other.start();
  t.equal(other.api, kubo.api);
  // The very first call after the exchange, of a peer that has no reason to look at it.
  await failsWith(t, connector.unpin(root.cid, { signal }), 'UNREACHABLE');
  t.equal(connector.states.current.name, 'other_identity');
  t.match(connector.states.current.detail, mine.peerId);
  await failsWith(t, connector.id({ signal }), 'UNREACHABLE');
  await failsWith(t, connector.pin(wish(root.cid), { signal, stallTimeoutMs: 5_000 }), 'UNREACHABLE');
  await failsWith(t, connector.putBlocks(blocks, { signal }), 'UNREACHABLE');
  t.match(await other.ipfs('pin', 'ls', '--type=recursive'), `${root.link}`, 'its pin is still there');
  // The same for a peer that starts now: it remembers.
  const again = await connectorOf(t, kubo.api, { folder: kubo.folder });
  t.equal(again.states.current.name, 'other_identity');
  await again.stop();
  await other.stop();
  await kubo.start();
  await isIn(connector, 'up');
  t.equal((await connector.id({ signal })).peerId, mine.peerId);
  t.equal((await readFile(`${kubo.folder}/kubo-peer-id`, 'utf8')).trim(), mine.peerId);
});

t.test('credentials', options, async (t) => {
  for (const auth of ['basic:pinfold:secret word', 'bearer:token']) {
    const kubo = await KuboNode.start(t, { auth });
    const connector = await connectorOf(t, kubo.api, { auth });
    t.equal(connector.states.current.name, 'up');
    for (const wrong of [undefined, 'bearer:other', 'basic:pinfold:other']) {
      const stranger = await connectorOf(t, kubo.api, { auth: wrong });
      t.equal(stranger.states.current.name, 'unauthorized');
      const failure = await failsWith(t, stranger.pinned(leaf('x').cid, { signal }), 'UNREACHABLE');
      t.notMatch(failure.message, /secret|other|token/);
    }
  }
});

t.test('a command that is kept from us is a failure; that of the disk is done without', options, async (t) => {
  const kubo = await KuboNode.start(t);
  const address = await kuboProxy(t, kubo, (command, _query, response) => {
    if (command !== 'pin/add' && command !== 'diag/sys') return false;
    response.writeHead(403).end('403 - Access Denied');
    return true;
  });
  const connector = await connectorOf(t, address);
  t.equal(connector.states.current.name, 'up');
  await failsWith(t, connector.pin(wish(leaf('kept').cid), { signal, stallTimeoutMs: 5_000 }), 'FAILED');
  t.equal(connector.states.current.name, 'up');
  const { freeBytes } = await connector.space({ signal });
  t.ok(Number.isFinite(freeBytes) && freeBytes > 0);
});

t.test('the RPC on a unix socket', options, async (t) => {
  const kubo = await KuboNode.start(t, { onSocket: true });
  const connector = await connectorOf(t, `/unix${kubo.socketPath}`);
  t.equal(connector.states.current.name, 'up');
  const { root, blocks } = dag('socket');
  await connector.putBlocks(blocks, { signal });
  await connector.pin(wish(root.cid), { signal, stallTimeoutMs: 5_000 });
  t.equal(await connector.pinned(root.cid, { signal }), 'recursive');
});

t.test('the RPC behind a proxy with TLS', options, async (t) => {
  const auth = 'bearer:token';
  const kubo = await KuboNode.start(t, { auth });
  const file = (name: string) => fileURLToPath(new URL(`../support/tls/${name}`, import.meta.url));
  const [cert, key] = [await readFile(file('server.pem')), await readFile(file('server.key'))];
  const address = await kuboProxy(t, kubo, () => false, { cert, key });
  const connector = await connectorOf(t, address, { auth, tls: { caFile: file('ca.pem') } });
  t.equal(connector.states.current.name, 'up');
  const { root, blocks } = dag('behind TLS');
  await connector.putBlocks(blocks, { signal });
  await connector.pin(wish(root.cid), { signal, stallTimeoutMs: 5_000 });
  t.equal(await connector.pinned(root.cid, { signal }), 'recursive');
  const unbelieving = await connectorOf(t, address, { auth });
  t.match(unbelieving.states.current, { name: 'restarting', detail: /certificate/ });
});

for (const how of ['SIGTERM', 'SIGKILL'] as const) {
  t.test(`a restart by ${how} between two looks is noticed with nobody calling`, options, async (t) => {
    const kubo = await KuboNode.start(t);
    const connector = await connectorOf(t, kubo.api, { watchIntervalMs: 600_000 });
    const { root, blocks } = dag('restarted unseen');
    await connector.putBlocks(blocks, { signal });
    await connector.pin(wish(root.cid), { signal, stallTimeoutMs: 5_000 });
    const seen: NodeStateName[] = [];
    connector.states.onChange(({ name }) => seen.push(name));
    // At once again: the second time is not taken for a part of the first.
    for (const time of ['first', 'second']) {
      seen.length = 0;
      await kubo.stop(how);
      await kubo.empty();
      await kubo.start();
      await isIn(connector, 'up');
      t.same([...new Set(seen)], ['restarting', 'up'], time);
    }
    t.equal(await connector.pinned(root.cid, { signal }), 'none');
  });
}

t.test('without space nothing is stored, and unpinning goes on', options, async (t) => {
  const kubo = await KuboNode.start(t);
  const { root, blocks } = dag('no space');
  const held = leaf('held already');
  let freeBytes = 2 ** 40;
  const address = await kuboProxy(t, kubo, (command, _query, response) => {
    if (command !== 'diag/sys') return false;
    response.end(JSON.stringify({ diskinfo: { free_space: freeBytes } }));
    return true;
  });
  const connector = await connectorOf(t, address);
  await connector.putBlocks([held, ...blocks], { signal });
  await connector.pin(wish(held.cid), { signal, stallTimeoutMs: 5_000 });
  freeBytes = 1_000_000;
  // Each look is one at the space, too.
  const full = await connectorOf(t, address);
  t.equal(full.states.current.name, 'no_space');
  t.equal((await full.space({ signal })).freeBytes, freeBytes);
  await failsWith(t, full.pin(wish(root.cid), { signal, stallTimeoutMs: 5_000 }), 'DISK_FULL');
  await failsWith(t, full.putBlocks([leaf('one more')], { signal }), 'DISK_FULL');
  await full.pin(wish(held.cid), { signal, stallTimeoutMs: 5_000 });
  await full.unpin(held.cid, { signal });
  t.equal(await full.pinned(held.cid, { signal }), 'none');
  const removed: unknown[] = [];
  for await (const one of full.collectGarbage({ signal })) removed.push(one);
  t.ok(removed.length >= 1 + blocks.length);
});

t.test('a pin that stands still for want of space is DISK_FULL', options, async (t) => {
  const kubo = await KuboNode.start(t);
  let isFull = false;
  const address = await kuboProxy(t, kubo, (command, _query, response) => {
    if (command === 'pin/add') isFull = true;
    if (command !== 'diag/sys' || !isFull) return false;
    response.end('{"diskinfo":{"free_space":507904}}');
    return true;
  });
  const connector = await connectorOf(t, address);
  const absent = leaf('stands still');
  await failsWith(t, connector.pin(wish(absent.cid), { signal, stallTimeoutMs: 1_200 }), 'DISK_FULL');
  t.equal(connector.states.current.name, 'no_space');
});

t.test('a pin that meets a full disk is DISK_FULL', options, async (t) => {
  const kubo = await KuboNode.start(t);
  const address = await kuboProxy(t, kubo, (command, _query, response) => {
    if (command !== 'pin/add') return false;
    response.writeHead(200, { trailer: 'X-Stream-Error' });
    response.write('{"Progress":1}\n');
    response.addTrailers({ 'X-Stream-Error': 'pin: write /data/blocks/x: no space left on device' });
    response.end();
    return true;
  });
  const connector = await connectorOf(t, address);
  await failsWith(t, connector.pin(wish(leaf('full').cid), { signal, stallTimeoutMs: 5_000 }), 'DISK_FULL');
  t.equal(connector.states.current.name, 'no_space');
});

t.test('a collection that others began is waited for, and is no stall', options, async (t) => {
  const kubo = await KuboNode.start(t);
  const connector = await connectorOf(t, kubo.api);
  // What lacks a block holds the lock that the collection waits for, and with it every pin that comes later.
  const { root, blocks } = dag('a block is missing');
  await connector.putBlocks(blocks.slice(1), { signal });
  const unfinished = new AbortController();
  const pinOfOthers = await fetch(`${kubo.rpcUrl}/pin/add?arg=${root.link}&progress=true`, {
    method: 'POST',
    signal: unfinished.signal,
  });
  await pinOfOthers.body?.getReader().read();
  const collection = fetch(`${kubo.rpcUrl}/repo/gc`, { method: 'POST' }).then((answer) => answer.text());
  const other = leaf('also pinned');
  await waitsForLock(kubo);
  // Collected before the pin has its turn, or not: either the pin is made, or nobody has the block any more.
  const pinned = connector
    .pin(wish(other.cid), { signal, stallTimeoutMs: 1_200 })
    .catch((failure) => t.match(failure, { kind: 'NO_PROVIDER' }));
  await isIn(connector, 'collecting');
  await new Promise<void>((resolve) => systemTimers.after(2_500, resolve));
  t.equal(connector.states.current.name, 'collecting', 'longer than a stall may last');
  await connector.putBlocks([other], { signal });
  unfinished.abort();
  await collection;
  await pinned;
  await isIn(connector, 'up');
});

t.test(
  'a collection does not wait for a pin of which no block has come; that goes on afterwards',
  options,
  async (t) => {
    const kubo = await KuboNode.start(t);
    const connector = await connectorOf(t, kubo.api);
    const [nowhere, garbage] = [leaf('of nobody so far'), leaf('garbage')];
    await connector.putBlocks([garbage], { signal });
    const pinned = connector.pin(wish(nowhere.cid), { signal, stallTimeoutMs: 60_000 });
    await isPinning(kubo);
    const removed: Uint8Array[] = [];
    for await (const { cid } of connector.collectGarbage({ signal })) removed.push(cid);
    t.ok(removed.some((cid) => Buffer.from(cid).equals(garbage.cid)));
    await connector.putBlocks([nowhere], { signal });
    await pinned;
    t.equal(await connector.pinned(nowhere.cid, { signal }), 'recursive');
  },
);

t.test('a pin that a collection of others waits for stalls as any other', options, async (t) => {
  const kubo = await KuboNode.start(t);
  const connector = await connectorOf(t, kubo.api);
  const { root, blocks } = dag('waited for');
  await connector.putBlocks(blocks.slice(1), { signal });
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const pinned = failsWith(
    t,
    connector.pin(wish(root.cid), { signal, stallTimeoutMs: 2_000, onProgress: () => begin() }),
    'NO_PROVIDER',
  );
  await begun;
  const collection = fetch(`${kubo.rpcUrl}/repo/gc`, { method: 'POST' }).then((answer) => answer.text());
  await waitsForLock(kubo);
  await pinned;
  t.match(await collection, 'Key', 'and the collection goes on');
});

async function isPinning(kubo: KuboNode): Promise<void> {
  for (;;) {
    const answer = await fetch(`${kubo.rpcUrl}/diag/cmds`, { method: 'POST' });
    const commands = (await answer.json()) as { Command: string; Active: boolean }[];
    if (commands.some(({ Command, Active }) => Command === 'pin/add' && Active)) return;
  }
}

async function waitsForLock(kubo: KuboNode): Promise<void> {
  for (;;) {
    const isFree = await fetch(`${kubo.rpcUrl}/pin/rm?arg=bafkqab3qnfxgm33mmq`, {
      method: 'POST',
      signal: AbortSignal.timeout(1_000),
    }).then(
      () => true,
      () => false,
    );
    if (!isFree) return;
  }
}

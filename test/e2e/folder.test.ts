import { once } from 'node:events';
import { cp, mkdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { connect as http2Connect } from 'node:http2';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { type LocalPeer, localPeer, tryPinfold, until } from '../../scripts/local-cluster.ts';
import { BulkStream, writeAll } from '../support/bulk.ts';
import { acquainted, daemons, equalDigests, held, inlineCid, Watching } from '../support/daemons.ts';
import { seededBytes } from '../support/seeded-bytes.ts';

const here = await daemons();

t.test('init a second time is refused and changes nothing', async (t) => {
  const peer = await here.make('twice');
  const files = ['config.json', 'identity.json', 'secret'].map((name) => join(peer.folder, name));
  const before = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  const again = await tryPinfold(['init', '--folder', peer.folder, '--output', 'json']);
  t.equal(again.code, 1);
  t.match(JSON.parse(again.stderr), { error: 'ALREADY_INITIALISED' });
  t.same(await Promise.all(files.map((file) => readFile(file, 'utf8'))), before);
  t.equal((await stat(files[1]!)).mode & 0o777, 0o600);
  t.equal((await stat(files[2]!)).mode & 0o777, 0o600);
});

t.test('one daemon a folder, and a stale socket after SIGKILL is in nobodys way', async (t) => {
  const peer = await here.make('locked');
  await peer.start();
  const second = await peer.startInVain({ flags: ['--log-format=json'] });
  t.equal(second.code, 1);
  t.match(second.stderr, 'FOLDER_IN_USE');
  t.notMatch(second.stderr, /\n\s+at /, 'no stack trace');
  t.equal((await held(peer)).pins, 0, 'the first is not disturbed');

  t.equal(await peer.kill('SIGKILL'), 137);
  t.ok((await stat(join(peer.folder, 'daemon.sock'))).isSocket(), 'the socket is still there');
  await peer.start();
  t.equal(await peer.kill('SIGTERM'), 0);
  await t.rejects(stat(join(peer.folder, 'daemon.sock')), { code: 'ENOENT' }, 'an orderly stop removes it');
});

t.test('SIGTERM stops in order while calls are open; what was acknowledged is there afterwards', async (t) => {
  const peer = await here.make('stopped');
  await peer.start();
  const stream = new BulkStream(
    'stopped',
    Array.from({ length: 200_000 }, (_, i) => inlineCid(`stopped ${i}`)),
  );
  const cut = stream.run(peer).then(
    () => 'ended',
    () => 'failed',
  );
  const watching = new Watching(peer, {});
  const idle = http2Connect(`http://${peer.host}`);
  const keptAlive = createConnection({ host: '127.0.0.1', port: Number(peer.httpHost.split(':')[1]) });
  const silent = createConnection({ host: '127.0.0.1', port: Number(peer.host.split(':')[1]) });
  for (const client of [idle, keptAlive, silent]) client.on('error', () => {});
  await Promise.all([once(idle, 'connect'), once(keptAlive, 'connect'), once(silent, 'connect')]);
  keptAlive.write(`GET / HTTP/1.1\r\nHost: ${peer.httpHost}\r\nConnection: keep-alive\r\n\r\n`);
  await once(keptAlive, 'data');
  await until('the stream is under way', () => stream.decided >= 1_000);

  const begunMs = Date.now();
  t.equal(await peer.kill('SIGTERM'), 0);
  const tookMs = Date.now() - begunMs;
  t.ok(tookMs < 15_000, `it took ${tookMs} ms`);
  t.equal(await cut, 'failed');
  t.ok(stream.decided < 200_000, 'in the middle');
  await until('the watch has ended', () => watching.failure !== undefined);
  t.equal(watching.failure, 'SHUTTING_DOWN');
  for (const client of [idle, keptAlive, silent]) client.destroy();

  const before = stream.decided;
  await peer.start();
  t.same(await stream.missing(peer, before), []);
  await peer.kill('SIGKILL');
});

t.test('a second signal ends the process at once', async (t) => {
  const peer = await here.make('hasty');
  await peer.start();
  // A connection that does not answer the goodbye keeps the orderly stop waiting.
  const silent = createConnection({ host: '127.0.0.1', port: Number(peer.host.split(':')[1]) });
  silent.on('error', () => {});
  await once(silent, 'connect');
  const ended = peer.kill('SIGTERM');
  await until('it is stopping', async () => (await peer.log()).includes('"stopping"'));
  const begunMs = Date.now();
  peer.signal('SIGTERM');
  t.equal(await ended, 1);
  t.ok(Date.now() - begunMs < 2_000);
  silent.destroy();
});

t.test('N1: a copy of a folder, started beside the original, writes as another incarnation', async (t) => {
  const original = await here.make('original');
  const friend = await here.make('friend');
  await original.start();
  await friend.start({ bootstrap: [original.address] });
  await acquainted([original, friend]);
  await writeAll(original, pinsOf('before', 50));
  await equalDigests([original, friend], 50);
  t.equal(await original.kill('SIGTERM'), 0);

  const copied = join(here.root, 'copied');
  await cp(original.folder, copied, { recursive: true });
  // Other ports; the same identity.
  const ports = await here.make('ports');
  const config = JSON.parse(await readFile(join(copied, 'config.json'), 'utf8'));
  const other = JSON.parse(await readFile(join(ports.folder, 'config.json'), 'utf8'));
  config.network.listen = other.network.listen;
  config.api = other.api;
  config.ipfs.listen = other.ipfs.listen;
  await writeFile(join(copied, 'config.json'), JSON.stringify(config));
  const copy = await here.adopt(copied, 'copied');
  t.equal(copy.peerId, original.peerId);

  await copy.start({ bootstrap: [friend.address] });
  await writable(copy);
  await writeAll(copy, pinsOf('at the copy', 50));
  await equalDigests([copy, friend], 100);

  // Both at once: others talk to one of the two, and both write.
  await original.start({ bootstrap: [friend.address] });
  await writable(original);
  await Promise.all([
    writeAll(original, pinsOf('at the original', 50)),
    writeAll(copy, pinsOf('at the copy, both running', 50)),
  ]);
  t.equal(await copy.kill('SIGTERM'), 0);
  await until('the original brings its own', async () => (await held(friend)).pins >= 150);
  t.equal(await original.kill('SIGTERM'), 0);
  await copy.start({ bootstrap: [friend.address] });
  await equalDigests([copy, friend], 200);
  t.equal(await copy.kill('SIGTERM'), 0);
  await original.start({ bootstrap: [friend.address] });
  t.equal((await equalDigests([original, friend], 200)).pins, 200, 'nothing is lost');
  await Promise.all([original, friend, copy].map((peer) => peer.kill('SIGKILL')));
});

t.test('a peer with another secret cannot connect and is told nothing; the operator is', async (t) => {
  const peer = await here.make('guarded');
  await peer.start();
  const foreignSecret = join(here.root, 'foreign.txt');
  await writeFile(foreignSecret, 'ab'.repeat(32), { mode: 0o600 });
  const stranger = await localPeer({ root: here.root, name: 'stranger', secretFile: foreignSecret });
  t.teardown(() => stranger.kill('SIGKILL'));
  await stranger.start({ bootstrap: [peer.address] });
  await until(
    'the refusal is counted',
    async () => (await metric(peer, 'pinfold_network_handshakes_refused_total')) > 0,
  );
  await until('the log says so', async () => /handshake|secret/i.test(warnings(await peer.log())));
  const { peers } = await peer.clients.peers.listPeers({});
  t.same(
    peers.map(({ peerId }) => peerId),
    [peer.peerId],
  );
  await stranger.clients.pins.pin({ cid: inlineCid('of a stranger') }).catch(() => {});
  t.equal((await held(peer)).pins, 0);
  t.notMatch(await peer.log(), 'ab'.repeat(32), 'secrets are not logged');
  await Promise.all([peer, stranger].map((each) => each.kill('SIGKILL')));
});

t.test('a configuration with errors: all of them are listed', async (t) => {
  const peer = await here.make('misconfigured');
  const file = join(peer.folder, 'config.json');
  const config = JSON.parse(await readFile(file, 'utf8'));
  config.network.listen = ['nonsense'];
  config.cluster.replicationMin = 0;
  config.tracker = { pinTimeoutMs: 'soon' };
  config.unknown = {};
  await writeFile(file, JSON.stringify(config));
  const { code, stderr } = await peer.startInVain();
  t.equal(code, 1);
  t.match(stderr, 'CONFIG_INVALID');
  for (const problem of ['network.listen', 'tracker.pinTimeoutMs', 'unknown']) t.match(stderr, problem);
  await writeFile(file, '{"cluster":');
  const broken = await peer.startInVain();
  t.equal(broken.code, 1);
  t.match(broken.stderr, 'CONFIG_INVALID');
  const flag = await peer.startInVain({ flags: ['--no-such-flag'] });
  t.equal(flag.code, 2);
});

t.test('a damaged store is DATA_CORRUPT and exit code 1, never a crash', async (t) => {
  const peer = await here.make('damaged');
  await peer.start();
  await writeAll(peer, pinsOf('damaged', 500));
  t.equal(await peer.kill('SIGTERM'), 0);
  const store = join(peer.folder, 'store', 'data.mdb');
  const { size } = await stat(store);
  const damages: Record<string, () => Promise<void>> = {
    'random bytes': () => writeFile(store, seededBytes('damage', size)),
    'a text file': () => writeFile(store, 'this is no store\n'.repeat(1_000)),
    truncated: () => truncate(store, Math.floor(size / 2 / 4096) * 4096),
    'cut within the first page': () => truncate(store, 1_000),
  };
  const kept = join(here.root, 'kept.mdb');
  await mkdir(here.root, { recursive: true });
  await cp(store, kept);
  for (const [what, damage] of Object.entries(damages)) {
    await cp(kept, store);
    await damage();
    const { code, stderr } = await peer.startInVain();
    t.equal(code, 1, what);
    t.match(stderr, 'DATA_CORRUPT', what);
    t.notMatch(stderr, /\n\s+at /, `${what}: no stack trace`);
  }
  await cp(kept, store);
  await peer.start();
  t.equal((await held(peer)).pins, 500, 'put back, it works');
  await peer.kill('SIGKILL');
});

t.test('the daemon is found by its folder, and a folder without a peer says what to do', async (t) => {
  const none = await tryPinfold(['daemon', '--folder', join(here.root, 'nothing')]);
  t.equal(none.code, 1);
  t.match(none.stderr, 'pinfold init');
});

const pinsOf = (label: string, count: number) =>
  Array.from({ length: count }, (_, i) => ({
    operation: { case: 'pin' as const, value: { cid: inlineCid(`${label} ${i}`) } },
  }));

async function writable(peer: LocalPeer): Promise<void> {
  const cid = inlineCid('before 0');
  await until(`${peer.name} takes writes`, () =>
    peer.clients.pins.pin({ cid }).then(
      () => true,
      () => false,
    ),
  );
}

async function metric(peer: LocalPeer, name: string): Promise<number> {
  const text = await (await fetch(`http://${peer.metricsHost}/metrics`)).text();
  return text
    .split('\n')
    .filter((line) => line.startsWith(name))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/** Lines of level warning and above. */
function warnings(log: string): string {
  return log
    .split('\n')
    .filter((line) => line.startsWith('{') && ['warn', 'error'].includes(JSON.parse(line).level))
    .join('\n');
}

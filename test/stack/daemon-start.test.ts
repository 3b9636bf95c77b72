import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm, stat } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { type Ended, type LocalPeer, pause, spawnPinfold, until } from '../../scripts/local-cluster.ts';
import { absentCid, daemons, reasonOf } from '../support/daemons.ts';

/** How a daemon ends that cannot start, or is told to stop while it does. */

t.setTimeout(120_000);
const here = await daemons();
/** A daemon that failed has nothing to wait for; this is for a slow machine. */
const endsWithinMs = 30_000;

/** What became of a daemon that is to end by itself; it is killed, which fails the test, when it does not. */
async function ended(peer: LocalPeer, flags: readonly string[] = [], stop?: number | RegExp): Promise<Ended> {
  const daemon = spawnPinfold(['daemon', '--folder', peer.folder, '--log-format=json', ...flags]);
  const timer = setTimeout(() => daemon.child.kill('SIGKILL'), endsWithinMs);
  if (typeof stop === 'number') setTimeout(() => daemon.child.kill('SIGTERM'), stop);
  if (stop instanceof RegExp) {
    daemon.child.stderr?.on('data', (text: string) => {
      if (stop.test(text)) daemon.child.kill('SIGTERM');
    });
  }
  const result = await daemon.ended;
  clearTimeout(timer);
  return result;
}

const isGone = (path: string) =>
  stat(path).then(
    () => false,
    () => true,
  );

function occupy(host: string, port: number): Promise<Server> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve(server));
  });
}

t.test('a port that is taken: it says which and what to do, and leaves nothing behind', async (t) => {
  const peer = await here.make('ports');
  const { default: config } = await import(join(peer.folder, 'config.json'), { with: { type: 'json' } });
  const swarmPort = (address: string) => `0.0.0.0:${address.split('/')[4]}`;
  const doors = {
    gRPC: config.api.grpcListen,
    HTTP: config.api.httpListen,
    metrics: config.api.metricsListen,
    'cluster swarm': swarmPort(config.network.listen[0]),
    'IPFS swarm': swarmPort(config.ipfs.listen[0]),
  };
  for (const [door, address] of Object.entries<string>(doors)) {
    const [host, port] = address.split(':') as [string, string];
    const server = await occupy(host, Number(port));
    const { code, stderr } = await ended(peer);
    t.equal(code, 1, `${door}: exit code`);
    t.match(stderr, 'CONFIG_INVALID', `${door}: the reason`);
    t.match(stderr, port, `${door}: the port is named`);
    t.notMatch(stderr, /\n\s+at /, `${door}: no stack trace`);
    t.ok(await isGone(join(peer.folder, 'daemon.sock')), `${door}: the folder is free again`);
    await new Promise((resolve) => server.close(resolve));
  }
  await peer.start();
  t.equal(await peer.kill('SIGTERM'), 0, 'with its ports free it starts, and stops');
});

t.test('a failure in the midst of putting it together ends it, too', async (t) => {
  const peer = await here.make('no-secret');
  await rm(join(peer.folder, 'cluster.secret'), { force: true });
  await rm(join(peer.folder, 'secret'), { force: true });
  const { code, stderr } = await ended(peer, ['--insecure-no-secret']);
  t.equal(code, 1);
  t.match(stderr, 'CONFIG_INVALID');
  t.ok(await isGone(join(peer.folder, 'daemon.sock')));
});

t.test('SIGTERM while it starts: it ends in order, and starts again', async (t) => {
  const peer = await here.make('hasty');
  for (const stop of [300, 700, 1_000, /the network is up/]) {
    const { code, stderr } = await ended(peer, [], stop);
    // Before the command has begun to listen to signals the process ends by itself, which is told as 137.
    t.ok(code === 0 || (code === 137 && stderr === ''), `${stop}: code ${code}`);
    t.ok(await isGone(join(peer.folder, 'daemon.sock')), 'the folder is free again');
    if (stop instanceof RegExp) t.equal(code, 0, 'it has begun to start, and ends in order');
  }
  await peer.start();
  await pause(100);
  t.equal(await peer.kill('SIGTERM'), 0);
});

t.test('a store that fails: the daemon ends and says why, and what was acknowledged is there', async (t) => {
  const peer = await here.make('failing');
  const bin = join(import.meta.dirname, '../../bin/pinfold.mjs');
  // No file may grow beyond that: the store's does.
  const limited = 'ulimit -f 24000; exec "$0" "$@"';
  const args = ['-c', limited, process.execPath, bin, 'daemon', '--folder', peer.folder, '--log-format=json'];
  const daemon = spawn('sh', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  t.teardown(() => daemon.kill('SIGKILL'));
  let stderr = '';
  daemon.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const closed = once(daemon, 'close');
  await until('it serves', () => stderr.includes('"serving"') || daemon.exitCode !== null);
  if (daemon.exitCode !== null) throw new Error(`it ended at the start: ${stderr}`);
  const acknowledged: string[] = [];
  const reasons = new Set<string>();
  const metadata = Array.from({ length: 8 }, (_, i) => ({ key: `key ${i}`, value: 'x'.repeat(900) }));
  for (let i = 0; daemon.exitCode === null && reasons.size === 0 && i < 20_000; i += 32) {
    const batch = Array.from({ length: 32 }, (_, at) => absentCid(`${i + at}`));
    const answers = await Promise.allSettled(
      batch.map((cid) => peer.clients.pins.pin({ cid, options: { metadata } }, { timeoutMs: 20_000 })),
    );
    for (const [at, answer] of answers.entries()) {
      if (answer.status === 'fulfilled') acknowledged.push(batch[at] as string);
      else reasons.add(reasonOf(answer.reason));
    }
  }
  const timer = setTimeout(() => daemon.kill('SIGKILL'), endsWithinMs);
  const [code, signal] = await closed;
  clearTimeout(timer);
  t.ok(acknowledged.length > 0, `${acknowledged.length} pins, then ${[...reasons]}`);
  t.comment(`ended with ${code ?? signal}`);
  // LMDB sometimes ends the process itself when it is closed after a failed write (lmdb-js has reports of crashes on full
  // disks). Nothing is lost by that: the next start finds what was flushed, and takes over the socket.
  const isCrash = signal !== null && signal !== 'SIGKILL';
  t.ok(code === 1 || isCrash, 'it ends by itself');
  t.match(stderr, 'STORAGE_FAILED', 'and says why');
  t.notMatch(stderr, 'please report it');
  t.equal(await isGone(join(peer.folder, 'daemon.sock')), !isCrash);

  await peer.start();
  for (const cid of acknowledged) await peer.clients.pins.getPin({ cid });
  t.equal(await peer.kill('SIGTERM'), 0);
});

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { base32upper } from 'multiformats/bases/base32';
import t, { type Test } from 'tap';
import { embeddedConnector } from '../../src/ipfs/embedded/embedded-connector.ts';
import { hex } from '../../src/model/bytes.ts';
import { systemClock, systemTimers } from '../../src/runtime/clock.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { noMetrics } from '../../src/runtime/metrics.ts';
import { dagOf, isFetched, key } from './ipfs-kill-child.ts';

const rounds = Number(process.env.KILL_ROUNDS ?? 3);
/** The node is killed a few milliseconds after it has said so many lines at most. */
const linesMax = 20;
/** DAGs that it may come to, far more than it does. */
const dagsMax = 300;
const { signal } = new AbortController();

async function openNode(folder: string) {
  const node = embeddedConnector(
    { agent: 'pinfold/1', folder, listenAddresses: ['/ip4/127.0.0.1/tcp/0'], network: { kind: 'private', key } },
    { clock: systemClock, timers: systemTimers, logger: silentLogger, metrics: noMetrics },
  );
  await node.start();
  return node;
}

async function folderFor(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pinfold-ipfs-kill-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** What the node said before it was killed. */
async function killed(args: string[]): Promise<string[]> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'ipfs-kill-child.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  const lines = 2 + Math.random() * linesMax;
  child.stdout.on('data', (chunk) => {
    output += chunk;
    if (output.split('\n').length > lines) setTimeout(() => child.kill('SIGKILL'), Math.random() * 20);
  });
  await new Promise((resolve) => child.on('close', resolve));
  return output.split('\n');
}

const numbered = (lines: readonly string[], word: string) =>
  lines.flatMap((line) => (line.startsWith(`${word} `) ? [Number(line.slice(word.length + 1))] : []));

/** Every file with a block's name is that block; nothing temporary is left. */
async function checkFiles(t: Test, folder: string): Promise<number> {
  const path = join(folder, 'blocks');
  let files = 0;
  for (const shard of await readdir(path)) {
    for (const name of await readdir(join(path, shard))) {
      if (shard === 'tmp') t.fail(`${name} is left in tmp`);
      files++;
      const multihash = base32upper.decode(name.slice(0, -'.data'.length));
      const digest = createHash('sha256')
        .update(await readFile(join(path, shard, name)))
        .digest();
      if (hex(multihash.subarray(2)) !== hex(digest)) t.fail(`${name} is not its block`);
    }
  }
  return files;
}

t.test('a node that is killed at any instant has what it acknowledged, whole', { timeout: 60_000 }, async (t) => {
  const [folder, sourceFolder] = [await folderFor(t), await folderFor(t)];
  const source = await openNode(sourceFolder);
  t.teardown(() => source.stop());
  const fetched = Array.from({ length: dagsMax }, (_, n) => n).filter(isFetched);
  await source.putBlocks(
    fetched.flatMap((n) => dagOf(n).blocks),
    { signal },
  );
  const [address] = (await source.id({ signal })).addresses;
  /** Acknowledged and never asked to be unpinned. */
  const pinned = new Set<number>();
  let next = 0;
  for (let round = 0; round < rounds; round++) {
    const lines = await killed([folder, String(next), address as string]);
    for (const n of numbered(lines, 'pinned')) pinned.add(n);
    for (const n of numbered(lines, 'unpinning')) pinned.delete(n);
    next = Math.max(next, ...numbered(lines, 'put'), ...numbered(lines, 'pinned')) + 4;

    const node = await openNode(folder);
    const held = new Set<string>();
    for await (const { cid } of node.list({ signal })) held.add(hex(cid));
    for (const n of pinned) {
      if (!held.has(hex(dagOf(n).root.cid))) t.fail(`the pin of ${n} was acknowledged, and is gone`);
    }
    for (let n = 0; n < next; n++) {
      const { root, blocks } = dagOf(n);
      if (!held.delete(hex(root.cid))) continue;
      for (const block of blocks) {
        const bytes = await node.getBlock(block.cid, { signal });
        if (bytes === undefined || hex(bytes) !== hex(block.bytes)) t.fail(`a block of ${n} is missing or spoilt`);
      }
    }
    t.equal(held.size, 0, 'there is no record of what nobody asked for');
    t.ok((await checkFiles(t, folder)) > 0);
    await node.stop();
  }
  t.ok(pinned.size > 0, `${pinned.size} pins of ${next}`);
});

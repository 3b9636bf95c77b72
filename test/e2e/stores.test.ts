import { cp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { tryPinfold, until } from '../../scripts/local-cluster.ts';
import { acquainted, daemons, equalDigests, held, inlineCid } from '../support/daemons.ts';
import { cleared, killAll, pair, raised, writePins } from '../support/folders.ts';

// Folders that are copied, deleted, left by command (docs/stores.md): nothing acknowledged that another peer holds is lost.

const here = await daemons();
let pins = 0;

t.test('a copy runs beside the original: both hold all, everybody says so, and it ends with one of them', async (t) => {
  const [original, friend] = await pair(here, 'double');
  pins = 0;
  pins += await writePins(original, 'before');
  await equalDigests([original, friend], pins);
  await original.kill('SIGTERM');
  const copied = join(here.root, 'double-copy');
  await cp(original.folder, copied, { recursive: true });
  await givePortsOf(copied, (await here.make('double-ports')).folder);
  const copy = await here.adopt(copied, 'double-copy');
  await original.start({ bootstrap: [friend.address] });
  await copy.start({ bootstrap: [friend.address] });
  await Promise.all([original, copy, friend].map((peer) => raised(peer, 'DUPLICATE_IDENTITY')));
  pins += await writePins(original, 'at the original');
  pins += await writePins(copy, 'at the copy');
  await equalDigests([original, copy, friend], pins, 90_000);
  await copy.kill('SIGTERM');
  await Promise.all([original, friend].map((peer) => cleared(peer, 'DUPLICATE_IDENTITY')));
  t.equal((await held(original)).pins, pins);
  await killAll(original, friend);
});

t.test('the store is deleted and the identity kept: it joins again, also who founded the cluster', async (t) => {
  const [founder, other] = await pair(here, 'deleted');
  pins = 0;
  pins += await writePins(founder, 'before');
  await equalDigests([founder, other], pins);
  await founder.kill('SIGTERM');
  await rm(join(founder.folder, 'store'), { recursive: true });
  await founder.start();
  await equalDigests([founder, other], pins);
  pins += await writePins(founder, 'since');
  t.equal((await equalDigests([founder, other], pins)).pins, pins);
  await killAll(founder, other);
});

t.test('store renew and store rejoin', async (t) => {
  const [one, other] = await pair(here, 'rejoin');
  pins = 0;
  pins += await writePins(one, 'at one');
  pins += await writePins(other, 'at other');
  await equalDigests([one, other], pins);
  const renewed = await tryPinfold(['store', 'renew', '--host', one.host]);
  t.equal(renewed.code, 0);
  pins += await writePins(one, 'renewed');
  await equalDigests([one, other], pins);

  await other.kill('SIGTERM');
  pins += await writePins(one, 'nobody else has this');
  const refused = await tryPinfold(['store', 'rejoin', '--host', one.host]);
  t.equal(refused.code, 1);
  t.match(refused.stderr, 'NOT_COVERED');
  t.match(refused.stderr, inlineCid('nobody else has this 29'), 'it names what would be lost, the newest first');
  pins += await writePins(one, 'it goes on as before');
  await other.start({ bootstrap: [one.address] });
  await acquainted([one, other]);

  const rejoined = await tryPinfold(['store', 'rejoin', '--host', one.host, '--output', 'json']);
  t.equal(rejoined.code, 0, rejoined.stderr);
  const { setAside } = JSON.parse(rejoined.stdout);
  await until(
    'the old store is set aside',
    async () => (await stat(join(setAside, 'data.mdb')).catch(() => undefined)) !== undefined,
  );
  await until('it has restarted', () =>
    held(one).then(
      () => true,
      () => false,
    ),
  );
  await equalDigests([one, other], pins, 60_000);
  pins += await writePins(one, 'after it joined');
  await equalDigests([one, other], pins);
  t.notOk((await readdir(one.folder)).includes('rejoin.json'), 'the marker is gone');

  // Killed between the steps: the file says to where; the next start ends it, once.
  await one.kill('SIGTERM');
  await writeFile(join(one.folder, 'rejoin.json'), JSON.stringify({ moveTo: 'store.20260101T000000Z' }));
  await rename(join(one.folder, 'store'), join(one.folder, 'store.20260101T000000Z'));
  await one.start({ bootstrap: [other.address] });
  await equalDigests([one, other], pins, 60_000);
  t.equal((await readdir(one.folder)).filter((name) => name.startsWith('store.')).length, 2);
  await killAll(one, other);
});

/** Other ports; the same identity. */
async function givePortsOf(folder: string, of: string): Promise<void> {
  const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'));
  const other = JSON.parse(await readFile(join(of, 'config.json'), 'utf8'));
  config.network.listen = other.network.listen;
  config.api = other.api;
  config.ipfs.listen = other.ipfs.listen;
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
}

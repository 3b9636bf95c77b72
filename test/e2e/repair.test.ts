import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { type LocalPeer, runPinfold, tryPinfold, until } from '../../scripts/local-cluster.ts';
import { peerTables } from '../../src/daemon/peer-core.ts';
import { parseCid } from '../../src/model/cid.ts';
import { bucketOf, pinKey } from '../../src/model/pin-key.ts';
import { tableSets } from '../../src/pinset/tables.ts';
import { lmdbStorage } from '../../src/storage/lmdb/lmdb-storage.ts';
import { daemons, equalDigests, held, inlineCid } from '../support/daemons.ts';

// A disk changes bytes of a real store while its daemon is down, so that they still decode, and so that they do not; and a row
// is gone. With its digest in memory the peer goes on as if nothing had been.

const here = await daemons();
const peers = (await here.cluster(3)) as [LocalPeer, LocalPeer, LocalPeer];
const [one, two, three] = peers;
const cids = Array.from({ length: 60 }, (_, i) => inlineCid(`to be kept ${i}`));
const pins = tableSets.a.pins;

interface Stored {
  cid: string;
  key: Uint8Array;
  value: Uint8Array;
}

const dataFile = (peer: LocalPeer) => join(peer.folder, 'store', 'data.mdb');

/** Rows of a store whose daemon is down. */
async function stored(peer: LocalPeer, cids: readonly string[]): Promise<Stored[]> {
  const storage = await lmdbStorage({ path: dataFile(peer), tables: peerTables });
  try {
    return cids.map((cid) => {
      const key = pinKey(parseCid(cid), 'default');
      return { cid, key, value: storage.read.get(pins, key) as Uint8Array };
    });
  } finally {
    await storage.close();
  }
}

async function removeRow(peer: LocalPeer, { key }: Stored): Promise<void> {
  const storage = await lmdbStorage({ path: dataFile(peer), tables: peerTables });
  await storage.transaction((tx) => tx.remove(pins, key)).flushed;
  await storage.close();
}

/** In the file itself, wherever that row stands: LMDB keeps key and value side by side. */
async function flipInFile(peer: LocalPeer, { key, value }: Stored, at: number, bit: number): Promise<number> {
  const bytes = await readFile(dataFile(peer));
  const row = Buffer.concat([key, value]);
  let flipped = 0;
  for (let place = bytes.indexOf(row); place >= 0; place = bytes.indexOf(row, place + 1)) {
    const index = place + key.length + at;
    bytes[index] = (bytes[index] as number) ^ bit;
    flipped++;
  }
  await writeFile(dataFile(peer), bytes);
  return flipped;
}

const alertsOf = async (peer: LocalPeer) => (await peer.clients.cluster.getCluster({})).alerts;
const nameOf = async (peer: LocalPeer, cid: string) => (await peer.clients.pins.getPin({ cid })).pin?.options?.name;
const lines = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

t.test('flipped bytes and a lost row: found, told, planned, put right', async (t) => {
  for (const [i, cid] of cids.entries()) await one.clients.pins.pin({ cid, options: { name: `name-${i}` } });
  const { digest } = await equalDigests(peers, cids.length);
  t.equal(await two.kill('SIGTERM'), 0);
  const [renamed, unreadable, lost] = (await stored(two, [cids[7], cids[21], cids[33]] as string[])) as [
    Stored,
    Stored,
    Stored,
  ];
  t.ok((await flipInFile(two, renamed, Buffer.from(renamed.value).indexOf('name-7'), 0x20)) > 0, 'the name');
  t.ok((await flipInFile(two, unreadable, 0, 0x05)) > 0, 'the tag of the first dot');
  await removeRow(two, lost);
  await two.start();
  t.same(await held(two), { digest, pins: cids.length - 1 }, 'its digest does not say so');
  t.equal(await nameOf(two, renamed.cid), 'Name-7', 'it still decodes');
  t.equal(
    (await alertsOf(two)).some(({ kind }) => kind === 'ROW_DAMAGED'),
    false,
    'nobody has noticed',
  );

  const scrub = await tryPinfold(['store', 'scrub', '--host', two.host]);
  t.equal(scrub.code, 1, scrub.stderr);
  t.match(scrub.stdout, /unreadable row/);
  const buckets = [renamed, unreadable, lost].map(({ key }) => bucketOf(key)).sort((a, b) => a - b);
  for (const bucket of buckets) t.match(scrub.stdout, new RegExp(`^${bucket} `, 'm'));
  const alert = (await alertsOf(two)).find(({ kind }) => kind === 'ROW_DAMAGED');
  t.equal(alert?.peerId, two.peerId);
  t.match(alert?.message, `buckets ${buckets.join(', ')}: `);

  const plan = await runPinfold(['store', 'repair', '--host', two.host]);
  t.equal(plan.stdout.match(/ restore /g)?.length, 6, `of two peers each: ${plan.stdout}`);
  t.match(plan.stdout, /nothing was written/);
  t.equal(await nameOf(two, renamed.cid), 'Name-7');

  const events = lines(
    (await runPinfold(['store', 'repair', '--apply', '--host', two.host, '--output', 'json'])).stdout,
  );
  t.match(events.at(-1), { result: { writtenHere: '3' } });
  t.notOk(events.at(-1).result.damagedBuckets);
  t.equal(await nameOf(two, renamed.cid), 'name-7');
  t.equal(await nameOf(two, unreadable.cid), 'name-21');
  t.equal(await nameOf(two, lost.cid), 'name-33');
  t.equal((await equalDigests(peers, cids.length)).digest, digest);
  await until('the alert is gone', async () => !(await alertsOf(two)).some(({ kind }) => kind.endsWith('_DAMAGED')));
  const after = await runPinfold(['store', 'scrub', '--host', two.host, '--output', 'json']);
  t.match(lines(after.stdout).at(-1), { finished: true });
  t.match((await runPinfold(['store', 'repair', '--host', two.host])).stdout, /nothing differs that should not/);
});

t.test('what was put right is on the disk', async (t) => {
  await two.kill('SIGKILL');
  const [row] = await stored(two, [cids[33] as string]);
  t.ok(row?.value.length);
  await two.start();
  await equalDigests(peers, cids.length);
  t.match((await runPinfold(['store', 'scrub', '--host', two.host])).stdout, /no damage was found/);
});

t.test('damage that nobody can put right: it is said, and why', async (t) => {
  await two.kill('SIGTERM');
  const [lost] = (await stored(two, [cids[40] as string])) as [Stored];
  await removeRow(two, lost);
  for (const peer of [one, three]) await peer.kill('SIGTERM');
  await two.start();
  t.equal((await tryPinfold(['store', 'scrub', '--host', two.host])).code, 1);
  for (const flags of [[], ['--apply']]) {
    const repair = await tryPinfold(['store', 'repair', ...flags, '--host', two.host]);
    t.equal(repair.code, 1, repair.stdout);
    t.notMatch(repair.stdout, 'nothing differs');
    t.match(repair.stderr, 'no peer was asked: rows are taken from members that are up, trusted, and no followers');
    t.match(
      repair.stderr,
      'damage stands in 1 bucket: nobody asked has what is missing here; --accept-loss gives it up',
    );
  }
  await one.start();
  await until('it is put right', async () => {
    const repair = await tryPinfold(['store', 'repair', '--apply', '--host', two.host]);
    return repair.code === 0 && repair.stdout.includes('written: 1 row here');
  });
});

t.test('what nobody has is given up at the word of an operator; who was away brings back what it has', async (t) => {
  await two.kill('SIGTERM');
  const [damaged] = (await stored(two, [cids[50] as string])) as [Stored];
  t.ok((await flipInFile(two, damaged, 0, 0x05)) > 0);
  await one.kill('SIGTERM');
  await two.start();
  t.equal((await tryPinfold(['store', 'scrub', '--host', two.host])).code, 1);
  const unplanned = await tryPinfold(['store', 'repair', '--accept-loss', '--host', two.host]);
  t.match(unplanned, { code: 1, stderr: /goes with --apply/ });
  const given = await runPinfold(['store', 'repair', '--apply', '--accept-loss', '--host', two.host]);
  t.match(given.stdout, `given up: the pin ${damaged.cid} in namespace default`);
  t.match((await runPinfold(['store', 'scrub', '--host', two.host])).stdout, /no damage was found/);
  await t.rejects(two.clients.pins.getPin({ cid: damaged.cid }), { message: /not/ });
  await one.start();
  await until('it is back', async () => {
    await tryPinfold(['store', 'repair', '--apply', '--host', two.host]);
    return (await nameOf(two, damaged.cid).catch(() => undefined)) === 'name-50';
  });
  await equalDigests([one, two], cids.length);
});

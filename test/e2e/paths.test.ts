import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { type LocalPeer, runPinfold, tryPinfold } from '../../scripts/local-cluster.ts';
import { daemons, inlineCid, pinnedOn, refusal } from '../support/daemons.ts';
import { KuboNode, withoutKubo } from '../support/kubo.ts';

/** Paths in place of CIDs, through the command line and the API. */
const here = await daemons();
const [one, two] = (await here.cluster(2)) as [LocalPeer, LocalPeer];

interface Tree {
  root: string;
  /** CIDs by path. */
  at: Record<string, string>;
}

/** `site/docs/...`, added at a peer, and pinned there alone. */
async function addTree(peer: LocalPeer, name: string): Promise<Tree> {
  const site = join(here.root, name, 'site');
  await mkdir(join(site, 'docs', 'ein größerer Ordner'), { recursive: true });
  await writeFile(join(site, 'docs', 'readme.md'), `read me, ${name}\n`);
  await writeFile(join(site, 'docs', 'ein größerer Ordner', 'b'), `b, ${name}\n`);
  const { stdout } = await runPinfold([
    'add',
    site,
    '-r',
    '1',
    '--local',
    '--cid-version',
    '1',
    '--host',
    peer.host,
    '--output',
    'json',
  ]);
  const at: Record<string, string> = {};
  let root = '';
  for (const message of lines(stdout)) {
    if (message.node !== undefined) at[message.node.path] = message.node.cid;
    if (message.root !== undefined) root = message.root.pin.cid;
  }
  await pinnedOn(peer, root, [peer.peerId]);
  return { root, at };
}

const lines = (text: string) =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
const json = async (...args: string[]) =>
  lines((await runPinfold([...args, '--host', one.host, '--output', 'json'])).stdout);
const pinfold = (...args: string[]) => tryPinfold([...args, '--host', one.host]);

t.test('a path is resolved by a node that has nothing of it, and pinned', async (t) => {
  const { root, at } = await addTree(two, 'resolved');
  const readme = at['site/docs/readme.md'] as string;
  const path = `/ipfs/${root}/docs/readme.md`;
  const added = await pinfold('pin', 'add', path, '-r', '1', '--allocation', one.peerId, '--name', 'by path');
  t.match(added, { code: 0, stdout: `${readme}  durable\n`, stderr: `resolved ${path} to ${readme}\n` });
  await pinnedOn(two, readme, [one.peerId]);
  t.match(await json('pin', 'get', path), [{ cid: readme, options: { name: 'by path' } }]);
  t.match(await json('status', path), [{ cid: readme, peers: [{}, {}] }]);
  t.match(await json('pin', 'explain', path), [{ pin: { cid: readme } }]);
  const folder = await json('pin', 'replace', path, `ipfs://${root}/docs/ein%20gr%C3%B6%C3%9Ferer%20Ordner`);
  t.match(folder, [{ cid: at['site/docs/ein größerer Ordner'], updatedFrom: readme }]);
  t.same(await json('pin', 'rm', `${root}/docs/ein größerer Ordner/`), [
    { cid: at['site/docs/ein größerer Ordner'], path: `${root}/docs/ein größerer Ordner/`, level: 'DURABLE' },
  ]);
});

t.test('CIDs and paths together, each with what became of it', async (t) => {
  const { root, at } = await addTree(two, 'together');
  const inline = inlineCid('beside paths');
  const [good, bad] = [`/ipfs/${root}/docs`, `/ipfs/${root}/docs/none`];
  const input = [inline, bad, good, `/ipfs/${root}/../x`].join('\n');
  const mixed = await tryPinfold(['pin', 'add', '--host', one.host, '--output', 'json'], input);
  t.equal(mixed.code, 1);
  const byPath = Object.fromEntries(lines(mixed.stdout).map((line) => [line.path ?? line.cid, line]));
  t.match(byPath, {
    [inline]: { level: 'DURABLE' },
    [bad]: { error: 'PATH_NOT_FOUND', message: `there is no "none" in ${at['site/docs']}` },
    [good]: { cid: at['site/docs'], level: 'DURABLE' },
    [`/ipfs/${root}/../x`]: { error: 'INVALID_PATH' },
  });
  t.match(JSON.parse(mixed.stderr), { error: 'SOME_FAILED', message: /^2 of 4 / });
  await json('pin', 'rm', inline, good);
});

t.test('resolving alone, and what is no path', async (t) => {
  const { root, at } = await addTree(two, 'alone');
  const resolved = await pinfold('ipfs', 'resolve', `/ipfs/${root}/docs/readme.md`);
  t.match(resolved, { code: 0, stdout: `/ipfs/${at['site/docs/readme.md']}\n` });
  t.same(await json('ipfs', 'resolve', root), [{ cid: root, path: `/ipfs/${root}` }]);
  const wrong: [string, string][] = [
    ['nonsense/a', 'INVALID_CID'],
    [`/ipfs/${root}//docs`, 'INVALID_PATH'],
    [`/ipfs/${root}/docs/../docs`, 'INVALID_PATH'],
    [`/ipfs/${root}/${'x'.repeat(5_000)}`, 'INVALID_PATH'],
    [`/ipfs/${root}/docs/readme.md/x`, 'PATH_NOT_FOUND'],
    ['/ipns/docs.example.org', 'NAMES_UNSUPPORTED'],
  ];
  for (const [path, reason] of wrong) {
    const failed = await pinfold('ipfs', 'resolve', path);
    t.equal(failed.code, 1);
    t.match(failed.stderr, reason, path);
  }
  t.match((await pinfold('ipfs', 'resolve', '/ipns/docs.example.org')).stderr, 'resolves no /ipns names');
});

t.test('a pin by a path, through the API', async (t) => {
  const { root, at } = await addTree(two, 'api');
  const { pins } = one.clients;
  const docs = at['site/docs'] as string;
  const { pin } = await pins.pin({ path: `/ipfs/${root}/docs`, namespace: 'team', options: { name: 'docs' } });
  t.match(pin, { cid: docs, namespace: 'team', options: { name: 'docs' } });
  t.equal((await pins.getPin({ cid: docs, namespace: 'team' })).pin?.cid, docs);
  t.equal(await refusal(pins.pin({ path: `/ipfs/${root}/docs`, cid: docs })), 'INVALID_ARGUMENT');
  t.equal(await refusal(pins.pin({ path: `/ipfs/${root}/docs`, namespace: 'NO' })), 'INVALID_ARGUMENT');
  const nobody = pins.resolve({ path: 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi/a' }, soon);
  t.match(await refusal(nobody), /^(DEADLINE$|4: )/, 'by the peer, or by this client');
});

/** What nobody has is waited for, as long as the caller does. */
const soon = { timeoutMs: 1_000 };

t.test('a peer with Kubo pins by name', { skip: withoutKubo, timeout: 120_000 }, async (t) => {
  const kubo = await KuboNode.start(t, { offline: true });
  const named = await here.make('named', ['--ipfs-kind=kubo', `--ipfs-api=${kubo.api}`]);
  await named.start();
  const { root, at } = await addTree(named, 'named');
  const key = await kubo.ipfs('key', 'gen', 'site');
  await kubo.ipfs('name', 'publish', '--allow-offline', '--key=site', `/ipfs/${root}`);
  const path = `/ipns/${key}/docs`;
  const { stdout, stderr } = await runPinfold(['pin', 'add', path, '-r', '1', '--host', named.host]);
  t.match(stderr, `resolved ${path} to ${at['site/docs']}`);
  t.match(stdout, at['site/docs']);
  await pinnedOn(named, at['site/docs'] as string, [named.peerId]);
  t.match(await kubo.ipfs('pin', 'ls', '--type=recursive'), at['site/docs']);
  const absent = await tryPinfold(['ipfs', 'resolve', `${path}/none`, '--host', named.host]);
  t.match(absent.stderr, `there is no "none" in ${at['site/docs']} (PATH_NOT_FOUND)`);
});

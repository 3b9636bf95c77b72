import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { runPinfold, until } from '../../scripts/local-cluster.ts';
import { ipfsNetworkKey } from '../../src/daemon/ipfs-key.ts';
import { acquainted, daemons, pinnedOn } from '../support/daemons.ts';
import { KuboNode, withoutKubo } from '../support/kubo.ts';
import { kuboProxy } from '../support/kubo-proxy.ts';
import { seededBytes } from '../support/seeded-bytes.ts';

const chunkBytes = 256 * 1024;

/** The RPC of one node is behind TLS and asks for a password, as it may be where a proxy stands before it. */
t.test('a pin that replaces another on two Kubos', { skip: withoutKubo, timeout: 240_000 }, async (t) => {
  const here = await daemons();
  const swarmKey = ipfsNetworkKey(Buffer.from(await readFile(here.secretFile, 'utf8'), 'hex'));
  const auth = 'basic:pinfold:a secret';
  const origin = await KuboNode.start(t, { swarmKey });
  const other = await KuboNode.start(t, { swarmKey, auth });
  const commands: string[] = [];
  const tlsFile = (name: string) => fileURLToPath(new URL(`../support/tls/${name}`, import.meta.url));
  const [cert, key] = [await readFile(tlsFile('server.pem')), await readFile(tlsFile('server.key'))];
  const behindTls = await kuboProxy(
    t,
    other,
    (command, query) => {
      commands.push([command, ...query.getAll('arg')].join(' '));
      return false;
    },
    { cert, key },
  );
  const atOrigin = await here.make('origin', ['--ipfs-kind=kubo', `--ipfs-api=${origin.api}`]);
  const atOther = await here.make('other', [
    '--ipfs-kind=kubo',
    `--ipfs-api=${behindTls}`,
    `--ipfs-api-auth=${auth}`,
    `--ipfs-api-tls-ca=${tlsFile('ca.pem')}`,
  ]);
  const both = [atOrigin.peerId, atOther.peerId];
  await atOrigin.start();
  await atOther.start({ bootstrap: [atOrigin.address] });
  await acquainted([atOrigin, atOther]);

  /** A file of eight chunks, on the one node alone and without a pin; its CID. */
  async function onlyAtOrigin(name: string, lastChunk: string): Promise<string> {
    const file = join(here.root, name);
    await writeFile(file, Buffer.concat([seededBytes('both', 7 * chunkBytes), seededBytes(lastChunk, chunkBytes)]));
    return origin.ipfs('add', '--cid-version=1', '--raw-leaves', '--pin=false', '--quieter', file);
  }

  const recursive = (kubo: KuboNode) => kubo.ipfs('pin', 'ls', '--type=recursive');
  const [old, next] = [await onlyAtOrigin('old', 'one'), await onlyAtOrigin('next', 'other')];
  await atOrigin.clients.pins.pin({ cid: old, options: { replicationMin: -1, replicationMax: -1, name: 'site' } });
  await pinnedOn(atOrigin, old, both);

  await t.test('only what is new is fetched, and the old one goes when the new one is there', async (t) => {
    const before = await receivedBy(other);
    commands.length = 0;
    const replaced = await runPinfold(['pin', 'replace', old, next, '--ack', 'pinned=2', '--host', atOrigin.host]);
    t.match(replaced.stdout, next);
    await pinnedOn(atOrigin, next, both);
    t.equal((await receivedBy(other)) - before, 2, 'the changed chunk, and the root');
    t.same(
      commands.filter((each) => each.startsWith('pin/add')),
      [],
      'it was built on the record of the old one',
    );
    await until('the old one is unpinned', async () => commands.includes(`pin/rm ${old}`));
    t.ok(commands.indexOf(`pin/update ${old} ${next}`) < commands.indexOf(`pin/rm ${old}`), 'and not before');
    t.ok(commands.includes(`pin/update ${old} ${next}`));
    for (const kubo of [origin, other]) {
      await until('no node holds the old one', async () => !(await recursive(kubo)).includes(old));
      t.match(await recursive(kubo), next);
    }
    t.equal((await other.ipfs('--offline', 'refs', '--recursive', next)).split('\n').length, 8);
    t.match((await runPinfold(['pin', 'get', next, '--host', atOther.host])).stdout, new RegExp(`site[^]*${old}`));
  });

  await t.test('back again, of which every block is still there, nothing is fetched', async (t) => {
    const before = await receivedBy(other);
    await atOther.clients.pins.replacePin({ fromCid: next, toCid: old });
    await pinnedOn(atOther, old, both);
    t.equal((await receivedBy(other)) - before, 0);
    for (const kubo of [origin, other])
      await until('the old one alone is pinned', async () => {
        const held = await recursive(kubo);
        return held.includes(old) && !held.includes(next);
      });
  });
});

/** Blocks that it has from other nodes. */
async function receivedBy(kubo: KuboNode): Promise<number> {
  const { BlocksReceived: blocks } = JSON.parse(await kubo.ipfs('bitswap', 'stat', '--encoding=json'));
  return blocks;
}

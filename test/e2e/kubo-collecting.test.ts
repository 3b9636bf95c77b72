import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CID } from 'multiformats/cid';
import * as raw from 'multiformats/codecs/raw';
import t from 'tap';
import { runPinfold, spawnPinfold, until } from '../../scripts/local-cluster.ts';
import { ipfsNetworkKey } from '../../src/daemon/ipfs-key.ts';
import { acquainted, daemons, pinnedOn, refusal } from '../support/daemons.ts';
import { HeldAdd } from '../support/held-add.ts';
import { KuboNode, withoutKubo } from '../support/kubo.ts';
import { seededBytes } from '../support/seeded-bytes.ts';

/** Garbage collection where one peer has the embedded node and one has Kubo. */
t.test('collecting on the embedded node and on Kubo', { skip: withoutKubo, timeout: 240_000 }, async (t) => {
  const here = await daemons();
  const swarmKey = ipfsNetworkKey(Buffer.from(await readFile(here.secretFile, 'utf8'), 'hex'));
  const kubo = await KuboNode.start(t, { swarmKey });
  const embedded = await here.make('embedded');
  const onKubo = await here.make('on-kubo', ['--ipfs-kind=kubo', `--ipfs-api=${kubo.api}`]);
  await embedded.start();
  await onKubo.start({ bootstrap: [embedded.address] });
  await acquainted([embedded, onKubo]);
  const both = [embedded.peerId, onKubo.peerId];

  async function added(name: string): Promise<string> {
    const file = join(here.root, name);
    await writeFile(file, seededBytes(name, 1_000_000));
    const { stdout } = await runPinfold(['add', file, '-r', '-1', '--host', embedded.host, '--output', 'json']);
    const { root } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
    await pinnedOn(embedded, root.pin.cid, both);
    return root.pin.cid;
  }

  await t.test('what was unpinned goes from both; what is pinned stays; Kubo tells no sizes', async (t) => {
    const [kept, gone] = [await added('kept'), await added('gone')];
    await embedded.clients.pins.unpin({ cid: gone });
    await until(
      'it is unpinned at both',
      async () => (await refusal(embedded.clients.pins.getPinStatus({ cid: gone }))) === 'PIN_NOT_FOUND',
    );
    t.match(await kubo.ipfs('--offline', 'refs', 'local'), blockName(gone));
    const { stdout } = await runPinfold(['ipfs', 'gc', '--all', '--host', embedded.host]);
    t.match(stdout, new RegExp(`${embedded.peerId}  embedded  5 blocks removed, 977 KiB\n`));
    t.match(stdout, new RegExp(`${onKubo.peerId}  on-kubo  \\d+ blocks removed\n`));
    const left = await kubo.ipfs('--offline', 'refs', 'local');
    t.notMatch(left, blockName(gone));
    t.match(left, blockName(kept));
  });

  await t.test('an add under way loses nothing', async (t) => {
    const adding = new HeldAdd(onKubo, 'slow.bin');
    const before = await blockCount(kubo);
    await until('its first blocks are there', async () => (await blockCount(kubo)) >= before + 3);
    const collecting = spawnPinfold(['ipfs', 'gc', onKubo.peerId, '--host', embedded.host, '--output', 'json']);
    await until('the collection has begun', () => collecting.stdout().includes(onKubo.peerId));
    adding.goOn();
    const cid = await adding.root;
    const { code, stderr } = await collecting.ended;
    t.equal(code, 0, stderr);
    await pinnedOn(embedded, cid, both);
    t.ok(
      (await kubo.ipfs('--offline', 'refs', '--recursive', cid)).trim().split('\n').length >= 64,
      'all of it is there',
    );
  });
});

async function blockCount(kubo: KuboNode): Promise<number> {
  return (await kubo.ipfs('--offline', 'refs', 'local')).trim().split('\n').length;
}

/** As Kubo lists its blocks: it keeps them by multihash, and tells all of them as raw. */
function blockName(cid: string): string {
  return CID.createV1(raw.code, CID.parse(cid).multihash).toString();
}

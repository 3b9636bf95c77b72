import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { IpfsNodeState } from '../../gen/pinfold/v1/peer_service_pb.ts';
import { TrackerStatus } from '../../gen/pinfold/v1/pin_pb.ts';
import { type LocalPeer, runPinfold, tryPinfold, until } from '../../scripts/local-cluster.ts';
import { ipfsNetworkKey } from '../../src/daemon/ipfs-key.ts';
import { absentCid, acquainted, daemons, ipfsStateOf, pinnedOn, statusOn } from '../support/daemons.ts';
import { alertsOf } from '../support/folders.ts';
import { KuboNode, withoutKubo } from '../support/kubo.ts';
import { seededBytes } from '../support/seeded-bytes.ts';

/** A cluster whose peers have different nodes: one embedded, one Kubo, and one Kubo on a unix socket that asks for credentials. */
t.test('a cluster with the embedded node and with Kubo', { skip: withoutKubo, timeout: 240_000 }, async (t) => {
  const here = await daemons();
  const auth = 'bearer:a-secret-token';
  const swarmKey = ipfsNetworkKey(Buffer.from(await readFile(here.secretFile, 'utf8'), 'hex'));
  const kubo = await KuboNode.start(t, { swarmKey });
  const guarded = await KuboNode.start(t, { swarmKey, auth, onSocket: true });
  const embedded = await here.make('embedded');
  const onKubo = await here.make('on-kubo', ['--ipfs-kind=kubo', `--ipfs-api=${kubo.api}`]);
  const onGuarded = await here.make('on-guarded', [
    '--ipfs-kind=kubo',
    `--ipfs-api=/unix${guarded.socketPath}`,
    `--ipfs-api-auth=${auth}`,
  ]);
  const peers = [embedded, onKubo, onGuarded];
  await embedded.start();
  for (const peer of [onKubo, onGuarded]) await peer.start({ bootstrap: [embedded.address] });
  await acquainted(peers);
  const file = join(here.root, 'file.bin');
  await writeFile(file, seededBytes('kubo cluster', 3_000_000));
  const everywhere = peers.map(({ peerId }) => peerId);
  let cid = '';

  await t.test('what is added at one is pinned on all nodes, and comes from the others', async (t) => {
    cid = await addFile(embedded, file);
    await pinnedOn(embedded, cid, everywhere);
    t.match(await kubo.ipfs('pin', 'ls', '--type=recursive'), cid);
    const blocks = await kubo.ipfs('--offline', 'refs', '--recursive', cid);
    t.ok(blocks.split('\n').length >= 11, 'complete on its own disk');
  });

  await t.test('the same from a node of Kubo', async (t) => {
    const other = join(here.root, 'other.bin');
    await writeFile(other, seededBytes('added on kubo', 2_000_000));
    const added = await addFile(onKubo, other);
    await pinnedOn(embedded, added, everywhere);
    await onGuarded.clients.pins.unpin({ cid: added });
    await until(
      'Kubo has let go of it',
      async () => !(await kubo.ipfs('pin', 'ls', '--type=recursive')).includes(added),
    );
    t.pass('unpinned');
  });

  await t.test('the node is in id, the space in the metrics, and the credentials nowhere', async (t) => {
    const { stdout } = await runPinfold(['id', '--host', onGuarded.host]);
    t.match(stdout, /kubo\/0\.42/);
    const { peer } = await onGuarded.clients.peers.getPeer({});
    t.equal(peer?.ipfs?.state, IpfsNodeState.UP);
    t.equal(await ipfsStateOf(onGuarded), 'up');
    t.notMatch(await onGuarded.log(), /a-secret-token/);
    const shown = await tryPinfold(['config', 'show', '--folder', onGuarded.folder]);
    t.notMatch(shown.stdout + shown.stderr, /a-secret-token/);
    t.match(shown.stdout, /"kubo"/);
  });

  await t.test(
    'a node that goes down is named; pins wait for it without an attempt, and go on when it is back',
    async (t) => {
      await kubo.stop();
      await until(
        'its peer says so',
        async () => (await onKubo.clients.peers.getPeer({})).peer?.ipfs?.state !== IpfsNodeState.UP,
      );
      const { stdout } = await runPinfold(['id', '--host', onKubo.host]);
      t.match(stdout, /(restarting|down): the IPFS node at .* does not answer/);
      t.match(await ipfsStateOf(onKubo), /restarting|down/);
      await until('an alert', async () =>
        (await alertsOf(onKubo)).some((kind) => /^IPFS_(RESTARTING|DOWN)$/.test(kind)),
      );
      t.match((await runPinfold(['health', '--host', onKubo.host])).stdout, /IPFS_(RESTARTING|DOWN)/);
      const late = join(here.root, 'late.bin');
      await writeFile(late, seededBytes('late', 500_000));
      const added = await runPinfold([
        'add',
        late,
        '-r',
        '-1',
        '--cid-version',
        '1',
        '--host',
        embedded.host,
        '--output',
        'json',
      ]);
      const lateCid =
        /"cid":\s*"(baf[a-z0-9]+)"/.exec(
          added.stdout.split('\n').findLast((line) => line.includes('"root"')) ?? '',
        )?.[1] ?? '';
      await pinnedOn(embedded, lateCid, [embedded.peerId, onGuarded.peerId]);
      const waiting = await statusOn(embedded, lateCid, onKubo.peerId);
      t.equal(waiting?.status, TrackerStatus.PIN_QUEUED);
      t.equal(waiting?.attempts, 0);
      await kubo.start();
      await pinnedOn(embedded, lateCid, everywhere);
      await until('no alert', async () => (await alertsOf(onKubo)).every((kind) => !kind.startsWith('IPFS_')));
      t.equal(await ipfsStateOf(onKubo), 'up');
    },
  );

  await t.test('a peer that is killed under a pin takes it up again', async (t) => {
    const absent = absentCid('under way');
    await embedded.clients.pins.pin({ cid: absent, options: { replicationMin: -1, replicationMax: -1 } });
    const isPinning = async () => (await statusOn(embedded, absent, onKubo.peerId))?.status === TrackerStatus.PINNING;
    await until('it is under way', isPinning);
    await onKubo.kill('SIGKILL');
    await onKubo.start({ bootstrap: [embedded.address] });
    await until('it is under way again', isPinning);
    t.notMatch(await kubo.ipfs('pin', 'ls', '--type=recursive'), absent);
    await embedded.clients.pins.unpin({ cid: absent });
    await pinnedOn(embedded, cid, everywhere);
    t.pass('and what was pinned is');
  });

  await t.test('another node at its address is not touched', async (t) => {
    const stranger = await KuboNode.start(t, { swarmKey });
    await stranger.ipfs('pin', 'ls');
    await Promise.all([kubo.stop(), stranger.stop()]);
    await stranger.replace(kubo);
    await stranger.start();
    await until('it is noticed', async () => (await ipfsStateOf(onKubo)) === 'other_identity');
    await until('an alert', async () => (await alertsOf(onKubo)).includes('IPFS_OTHER_IDENTITY'));
    const before = await stranger.ipfs('pin', 'ls');
    await embedded.clients.pins.unpin({ cid });
    await pinnedGone(embedded, cid, embedded.peerId);
    t.equal(await stranger.ipfs('pin', 'ls'), before);
    await stranger.stop();
    await kubo.start();
    await until('the right one is back', async () => (await ipfsStateOf(onKubo)) === 'up');
    await until('unpinned there, too', async () => !(await kubo.ipfs('pin', 'ls', '--type=recursive')).includes(cid));
  });

  await t.test('a configuration that cannot work is refused before it does harm', async (t) => {
    const refused = async (...flags: string[]) => (await onKubo.startInVain({ flags })).stderr;
    await onKubo.kill('SIGTERM');
    t.match(await refused('--ipfs-api=kubo:5001'), /ipfs\.api/);
    const wrong = await refused('--ipfs-api-auth=something secret');
    t.match(wrong, /ipfs\.apiAuth.*basic:USER:PASSWORD/s);
    t.notMatch(wrong, /something secret/);
    t.match(
      await refused('--ipfs-api-tls-ca=/nonexistent/ca.pem', '--ipfs-api=https://localhost:1'),
      /nonexistent\/ca\.pem/,
    );
    t.match(await refused('--ipfs-api-tls-ca=ca.pem'), /not of TLS/);
  });
});

/** To every node; the CID of the root. */
async function addFile(peer: LocalPeer, path: string): Promise<string> {
  const { stdout } = await runPinfold([
    'add',
    path,
    '-r',
    '-1',
    '--cid-version',
    '1',
    '--host',
    peer.host,
    '--output',
    'json',
  ]);
  const root = stdout.split('\n').findLast((line) => line.includes('"root"')) ?? '';
  const cid = /"cid":\s*"(baf[a-z0-9]+)"/.exec(root)?.[1];
  if (cid === undefined) throw new Error(`no root in ${stdout}`);
  return cid;
}

async function pinnedGone(peer: LocalPeer, cid: string, on: string): Promise<void> {
  await until('it is unpinned', async () => (await statusOn(peer, cid, on).catch(() => undefined)) === undefined);
}

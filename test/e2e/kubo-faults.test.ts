import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { TrackerStatus } from '../../gen/pinfold/v1/pin_pb.ts';
import { type LocalPeer, until } from '../../scripts/local-cluster.ts';
import { ipfsNetworkKey } from '../../src/daemon/ipfs-key.ts';
import { acquainted, daemons, pinnedOn, statusOn, Watching } from '../support/daemons.ts';
import { alertsOf } from '../support/folders.ts';
import { filesOnlyAt, KuboNode, withoutKubo } from '../support/kubo.ts';

const files = 60;
const slowMs = 60_000;

/** What happens to nodes in the life of a cluster: statuses are true, alerts come and go, and in the end all pins are there. */
t.test('a cluster of three peers over three Kubos', { skip: withoutKubo, timeout: 400_000 }, async (t) => {
  const here = await daemons();
  const swarmKey = ipfsNetworkKey(Buffer.from(await readFile(here.secretFile, 'utf8'), 'hex'));
  const [a, b, c] = await Promise.all([1, 2, 3].map(() => KuboNode.start(t, { swarmKey })));
  if (a === undefined || b === undefined || c === undefined) return;
  const flags = (kubo: KuboNode) => [
    '--ipfs-kind=kubo',
    `--ipfs-api=${kubo.api}`,
    '--tracker-retry-base-ms=1000',
    '--tracker-pin-timeout-ms=5000',
  ];
  const atA = await here.make('a', flags(a));
  const atB = await here.make('b', flags(b));
  const atC = await here.make('c', [...flags(c), '--tracker-audit-interval-ms=2000']);
  const peers = [atA, atB, atC];
  await atA.start();
  for (const peer of [atB, atC]) await peer.start({ bootstrap: [atA.address] });
  await acquainted(peers);
  const cids = await filesOnlyAt(a, join(here.root, 'files'), { count: files });

  async function allHeld(what: string): Promise<void> {
    const wanted = JSON.stringify([...cids].sort());
    await until(
      `${what}: every Kubo holds all, and every peer says so`,
      async () => {
        for (const kubo of [a, b, c] as KuboNode[])
          if (JSON.stringify((await kubo.held()).sort()) !== wanted) return false;
        const { statuses } = await atA.clients.cluster.getCluster({});
        return Number(statuses?.pinned) === cids.length;
      },
      slowMs,
    );
    for (const cid of cids.slice(0, 5))
      await pinnedOn(
        atA,
        cid,
        peers.map(({ peerId }) => peerId),
      );
    await until(
      'no alert stands',
      async () => (await Promise.all(peers.map(nodeAlertsOf))).flat().length === 0,
      slowMs,
    );
  }

  await t.test('a node killed in the middle of pinning', async (t) => {
    await Promise.all(
      cids.map((cid) => atA.clients.pins.pin({ cid, options: { replicationMin: -1, replicationMax: -1 } })),
    );
    await b.stop('SIGKILL');
    await until('an alert names it', async () => (await nodeAlertsOf(atB)).length > 0, slowMs);
    await b.start();
    await allHeld('killed');
    t.pass('all is pinned');
  });

  await t.test('a node that comes back with an empty repository', async (t) => {
    await b.stop();
    await b.empty();
    await until('an alert names it', async () => (await nodeAlertsOf(atB)).length > 0, slowMs);
    await b.start();
    await allHeld('emptied');
    t.pass('pinned anew, long before the next audit is due');
  });

  await t.test('a node that is away for a moment, with nobody calling it, and has all that it had', async (t) => {
    const [cid = ''] = cids;
    const before = await statusOn(atB, cid, atA.peerId);
    const audited = Number(await metric(atA, 'pinfold_tracker_audited_total'));
    await a.stop('SIGKILL');
    await a.start();
    // The next audit in the course of time is hours away.
    await until(
      'its pins are compared at once',
      async () => Number(await metric(atA, 'pinfold_tracker_audited_total')) >= audited + cids.length,
      slowMs,
    );
    t.equal(await metric(atA, 'pinfold_tracker_vanished_total'), '0');
    t.same(await statusOn(atB, cid, atA.peerId), before, 'pinned as before, and at no time anything else');
    await allHeld('away for a moment');
  });

  await t.test('the same, and it comes back with nothing', async (t) => {
    const watching = new Watching(atB, { changesOnly: true });
    await until('the watch has begun', () => watching.caughtUp);
    await a.stop('SIGKILL');
    await a.empty();
    await a.start();
    await until(
      'all are missed',
      async () => (await metric(atA, 'pinfold_tracker_vanished_total')) === `${cids.length}`,
      slowMs,
    );
    await watching.until(
      'they are gone',
      (event) =>
        event.case === 'status' &&
        event.value.peer?.peerId === atA.peerId &&
        event.value.peer.status === TrackerStatus.UNEXPECTEDLY_UNPINNED,
    );
    await allHeld('nothing left of it');
    await watching.stop();
    t.pass('pinned anew, long before the next audit is due');
  });

  await t.test('two repositories that change places', async (t) => {
    await Promise.all([b.stop(), c.stop()]);
    await KuboNode.swap(b, c);
    await Promise.all([b.start(), c.start()]);
    for (const peer of [atB, atC])
      await until('it is noticed', async () => (await nodeAlertsOf(peer)).includes('IPFS_OTHER_IDENTITY'), slowMs);
    const [extra = ''] = await filesOnlyAt(a, join(here.root, 'meanwhile'), { count: 1 });
    await atA.clients.pins.pin({ cid: extra, options: { replicationMin: -1, replicationMax: -1 } });
    await pinnedOn(atA, extra, [atA.peerId]);
    for (const [peer, kubo] of [
      [atB, b],
      [atC, c],
    ] as const) {
      t.equal((await statusOn(atA, extra, peer.peerId))?.status, TrackerStatus.PIN_QUEUED);
      t.notOk((await kubo.held()).includes(extra), 'a stranger is asked for nothing');
    }
    cids.push(extra);
    await Promise.all([b.stop(), c.stop()]);
    await KuboNode.swap(b, c);
    await Promise.all([b.start(), c.start()]);
    await allHeld('swapped back');
  });

  await t.test('pins removed behind the back of the peer', async (t) => {
    await c.ipfs('pin', 'rm', ...cids.slice(0, 10));
    await allHeld('removed');
    t.match(await metric(atC, 'pinfold_tracker_vanished_total'), /^\d\d/);
  });

  await t.test('a node that can write no blocks', async (t) => {
    await b.stop();
    await b.start(200);
    const [big = ''] = await filesOnlyAt(a, join(here.root, 'big'), { count: 1, bytes: 1_000_000 });
    await atA.clients.pins.pin({ cid: big, options: { replicationMin: -1, replicationMax: -1 } });
    cids.push(big);
    await pinnedOn(atA, big, [atA.peerId, atC.peerId]);
    const status = async () => (await statusOn(atA, big, atB.peerId))?.status;
    await until('the pin has failed', async () => (await status()) === TrackerStatus.PIN_ERROR, slowMs);
    t.notOk((await b.held()).includes(big));
    await b.stop();
    await b.start();
    await allHeld('with room again');
  });

  await t.test('a node that is frozen', async (t) => {
    b.signal('SIGSTOP');
    const [extra = ''] = await filesOnlyAt(a, join(here.root, 'frozen'), { count: 1 });
    await atA.clients.pins.pin({ cid: extra, options: { replicationMin: -1, replicationMax: -1 } });
    cids.push(extra);
    await pinnedOn(atA, extra, [atA.peerId, atC.peerId]);
    await until('an alert names it', async () => (await nodeAlertsOf(atB)).length > 0, slowMs);
    t.not((await statusOn(atA, extra, atB.peerId))?.status, TrackerStatus.PINNED);
    b.signal('SIGCONT');
    await allHeld('thawed');
  });
});

async function nodeAlertsOf(peer: LocalPeer): Promise<string[]> {
  return (await alertsOf(peer)).filter((kind) => kind.startsWith('IPFS_'));
}

async function metric(peer: LocalPeer, name: string): Promise<string> {
  const text = await (await fetch(`http://${peer.metricsHost}/metrics`)).text();
  return new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? '';
}

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { type LocalPeer, runPinfold, tryPinfold, until } from '../../scripts/local-cluster.ts';
import { acquainted, daemons, equalDigests, inlineCid } from '../support/daemons.ts';

const here = await daemons();
const [one, two, three] = (await here.cluster(3, ['--monitor-metric-ttl-ms=2000'])) as [
  LocalPeer,
  LocalPeer,
  LocalPeer,
];
const peers = [one, two, three];

const at = (peer: LocalPeer, ...args: string[]) => tryPinfold([...args, '--host', peer.host]);
const json = async (peer: LocalPeer, ...args: string[]) =>
  (await runPinfold([...args, '--host', peer.host, '--output', 'json'])).stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
const listed = async (peer: LocalPeer) => (await json(peer, 'peers', 'ls')).map(({ peerId }) => peerId).sort();
const idsOf = (...of: LocalPeer[]) => of.map(({ peerId }) => peerId).sort();
const alertsOf = async (peer: LocalPeer) =>
  (await peer.clients.cluster.getCluster({})).alerts
    .filter(({ kind }) => kind === 'DISTRUSTED_BY')
    .map((a) => a.peerId);

t.test('by default everyone trusts everyone, and the matrix says so', async (t) => {
  const shown = await json(one, 'peers', 'trust');
  t.same(
    shown.map(({ trusts }) => trusts),
    [{ all: true }, { all: true }, { all: true }],
  );
  t.ok(shown.every(({ unseen }) => unseen === undefined));
  const { stdout } = await at(one, 'peers', 'trust');
  t.match(stdout, 'GETS WRITES OF THIS ONE');
  t.equal(stdout.match(/yes/g)?.length, 8, stdout);
});

t.test('peers trust: one is struck off by all, is told, and is let in again, without a restart', async (t) => {
  await json(one, 'peers', 'trust', '--only', two.peerId);
  await json(two, 'peers', 'trust', '--only', one.peerId);
  await until('three knows that nobody takes its writes', async () => (await alertsOf(three)).length === 2);
  const refused = await at(three, 'pin', 'add', inlineCid('refused'));
  t.equal(refused.code, 1);
  t.match(refused.stderr, 'NOT_TRUSTED');
  t.match(refused.stderr, `pinfold peers trust --add ${three.peerId}`);
  const written = await json(one, 'pin', 'add', inlineCid('of one'));
  t.same(written, [{ cid: inlineCid('of one'), level: 'DURABLE' }], 'three takes it: nobody is left out');
  await equalDigests(peers, 1);

  await json(two, 'peers', 'trust', '--add', three.peerId);
  await until('three may write', async () => (await alertsOf(three)).length === 0);
  t.equal((await at(three, 'pin', 'add', inlineCid('of three'))).code, 0);
  await equalDigests(peers, 2);
  await until('the matrix is the same at all three', async () => {
    const shown = await Promise.all(peers.map((peer) => json(peer, 'peers', 'trust')));
    return shown.every((rows) =>
      rows.every(({ peerId, trusts }) => {
        const expected = { [one.peerId]: idsOf(two), [two.peerId]: idsOf(one, three) }[peerId as string];
        return expected === undefined ? trusts?.all : String(trusts?.peerIds?.sort()) === String(expected);
      }),
    );
  });
});

t.test('the list is in the configuration file, and the same after a restart', async (t) => {
  const config = JSON.parse(await readFile(join(one.folder, 'config.json'), 'utf8'));
  t.same(config.crdt.trustedPeers, [two.peerId]);
  t.equal(config.cluster.name, 'pinfold', 'all else is as it was');
  t.equal(await one.kill('SIGTERM'), 0);
  await one.start();
  const [own] = await json(one, 'peers', 'trust');
  t.same(own.trusts, { peerIds: [two.peerId] });
  const wrong = await at(one, 'peers', 'trust', '--add', '12D3KooWnobody');
  t.equal(wrong.code, 1);
  t.match(wrong.stderr, 'INVALID_ARGUMENT');
  t.match((await at(one, 'peers', 'trust', '--remove', one.peerId)).stderr, 'a peer always trusts itself');
  t.equal((await at(one, 'peers', 'trust', '--all', '--none')).code, 2);
});

t.test('a flag that gives the list is not overruled', async (t) => {
  t.equal(await one.kill('SIGTERM'), 0);
  await one.start({ flags: [`--crdt-trusted-peers=${two.peerId},${three.peerId}`] });
  const refused = await at(one, 'peers', 'trust', '--all');
  t.match(refused.stderr, 'CONFIG_INVALID');
  t.match(refused.stderr, '--crdt-trusted-peers');
  t.equal(await one.kill('SIGTERM'), 0);
  await one.start();
});

t.test('who will not see a write is named: pin add, and as JSON', async (t) => {
  await json(one, 'peers', 'trust', '--none');
  await until('two knows', async () => (await alertsOf(two)).includes(one.peerId));
  const [answer] = await json(two, 'pin', 'add', inlineCid('not at one'));
  t.same(answer, { cid: inlineCid('not at one'), level: 'DURABLE', unseenBy: [one.peerId] });
  t.match((await at(two, 'pin', 'rm', inlineCid('not at one'))).stderr, one.peerId);
  await json(one, 'peers', 'trust', '--all');
  await json(two, 'peers', 'trust', '--all');
  await until('the alert is over', async () => (await alertsOf(two)).length === 0);
  await equalDigests(peers, 2);
});

t.test('a member that is away stays listed, until peers rm; what was allocated to it stays so', async (t) => {
  await acquainted(peers);
  const cid = inlineCid('everywhere by name');
  await json(one, 'pin', 'add', cid, '-r', '3');
  await equalDigests(peers, 3);
  t.equal(await three.kill('SIGTERM'), 0);
  await until('three is seen to be down', async () => {
    const { peers: members } = await two.clients.peers.listPeers({});
    return members.some(({ peerId, health }) => peerId === three.peerId && health === 3);
  });
  t.same(await listed(two), idsOf(one, two, three));
  const { stdout, code } = await at(one, 'peers', 'rm', three.peerId);
  t.equal(code, 0);
  t.match(stdout, `removed ${three.peerId}`);
  t.match(stdout, '1 pin allocated to it: given to others');
  t.same(await listed(one), idsOf(one, two));
  await until('two has forgotten it, too', async () => String(await listed(two)) === String(idsOf(one, two)));
  const [pin] = await json(one, 'pin', 'get', cid);
  t.equal(pin.allocations.length, 3);
});

t.test('clear answers: oneself, an unknown peer', async (t) => {
  t.match((await at(one, 'peers', 'rm', one.peerId)).stderr, 'a peer cannot remove itself');
  const unknown = await at(one, 'peers', 'rm', three.peerId);
  t.equal(unknown.code, 1);
  t.match(unknown.stderr, 'PEER_NOT_FOUND');
});

t.test('the word survives a restart; a removed peer that comes back is a member again', async (t) => {
  t.equal(await two.kill('SIGTERM'), 0);
  await two.start();
  await until('two is there', async () => (await listed(two)).includes(one.peerId));
  t.same(await listed(two), idsOf(one, two));
  await three.start();
  await until('three is a member again', async () => {
    const lists = await Promise.all(peers.map(listed));
    return lists.every((list) => String(list) === String(idsOf(one, two, three)));
  });
  await json(three, 'pin', 'add', inlineCid('back again'));
  await equalDigests(peers, 4);
});

t.test('a live peer can be removed, with a warning, and comes back', async (t) => {
  const { stderr, code } = await at(one, 'peers', 'rm', three.peerId);
  t.equal(code, 0);
  t.match(stderr, 'comes back');
  await until('it is back', async () => (await listed(one)).includes(three.peerId));
});

t.test('peers add: a peer without bootstrap addresses is connected', async (t) => {
  const four = await here.make('four');
  await four.start();
  const { stdout } = await at(four, 'peers', 'add', one.address);
  t.match(stdout, `connected with ${one.peerId}`);
  await until('all four know each other', async () => (await listed(two)).includes(four.peerId));
  t.match((await at(four, 'peers', 'add', 'nonsense')).stderr, 'must be a multiaddr');
});

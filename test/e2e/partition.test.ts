import t from 'tap';
import { PeerHealth } from '../../gen/pinfold/v1/peer_service_pb.ts';
import { type LocalPeer, until } from '../../scripts/local-cluster.ts';
import { writeAll } from '../support/bulk.ts';
import { acquainted, daemons, equalDigests, held, inlineCid, isPinned, refusal, Watching } from '../support/daemons.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

/*
 * Three peers that know each other only by proxies: each announces the one in front of it, so that cutting them cuts every
 * connection of the cluster's network.
 */
const here = await daemons();
const proxies: TcpProxy[] = [];
t.teardown(() => Promise.all(proxies.map((proxy) => proxy.close())));

const flags = ['--monitor-metric-ttl-ms=2000'];
const peers: LocalPeer[] = [];
for (const name of ['one', 'two', 'three']) {
  const peer = await here.make(name, flags);
  const proxy = await TcpProxy.to(Number(/tcp\/(\d+)/.exec(peer.address)?.[1]));
  proxies.push(proxy);
  const announced = `/ip4/127.0.0.1/tcp/${proxy.port}`;
  const bootstrap = peers.map((_, i) => `/ip4/127.0.0.1/tcp/${proxies[i]!.port}/p2p/${peers[i]!.peerId}`);
  await peer.start({ bootstrap, flags: ['--network-announce', announced] });
  peers.push(peer);
}
const [one, two, three] = peers as [LocalPeer, LocalPeer, LocalPeer];
await acquainted(peers);

const contested = inlineCid('pinned and unpinned at once');
const removed = inlineCid('unpinned on one side');
const changed = inlineCid('changed on two sides');

t.test('before the cut all hold the same', async (t) => {
  for (const cid of [contested, removed, changed]) await one.clients.pins.pin({ cid, options: { name: 'before' } });
  t.equal((await equalDigests(peers)).pins, 3);
});

t.test('cut off from each other, all take writes, and say who is away', async (t) => {
  for (const proxy of proxies) proxy.cut();
  await until('nobody hears anybody', async () => {
    const seen = await Promise.all(peers.map((peer) => peer.clients.peers.listPeers({})));
    return seen.every(({ peers: members }) =>
      members.every(({ self, health }) => self || health === PeerHealth.DOWN || health === PeerHealth.SUSPECT),
    );
  });
  await Promise.all(
    peers.map((peer) =>
      writeAll(
        peer,
        Array.from({ length: 1_000 }, (_, i) => ({
          operation: { case: 'pin' as const, value: { cid: inlineCid(`${peer.name} ${i}`) } },
        })),
      ),
    ),
  );
  await one.clients.pins.unpin({ cid: contested });
  await two.clients.pins.pin({ cid: contested, options: { name: 'pinned again meanwhile' } });
  await three.clients.pins.unpin({ cid: removed });
  await one.clients.pins.pin({ cid: changed, options: { name: 'of one' } });
  await two.clients.pins.pin({ cid: changed, options: { name: 'of two' } });
  t.equal((await held(one)).pins, 1_002);
  t.equal((await held(two)).pins, 1_003);
  t.equal((await held(three)).pins, 1_002);
  t.equal(await refusal(three.clients.pins.getPin({ cid: inlineCid('one 0') })), 'PIN_NOT_FOUND', 'it is really cut');
});

t.test('healed, all agree and nothing is lost; a pin beats an unpin of the same moment', async (t) => {
  const watching = new Watching(three, { changesOnly: true, pinsOnly: true });
  await until('the watch has begun', () => watching.token.length > 0 || watching.caughtUp);
  for (const proxy of proxies) proxy.heal();
  await equalDigests(peers, 3_002);
  for (const peer of peers) {
    t.equal((await peer.clients.pins.getPin({ cid: contested })).pin?.options?.name, 'pinned again meanwhile');
    t.equal(await refusal(peer.clients.pins.getPin({ cid: removed })), 'PIN_NOT_FOUND');
    t.equal((await peer.clients.pins.getPin({ cid: changed })).pin?.options?.name, 'of two', 'the later one is shown');
    const cids = new Set<string>();
    for await (const page of peer.clients.pins.listPins({})) for (const { cid } of page.pins) cids.add(cid);
    for (const { name } of peers) {
      t.ok(Array.from({ length: 1_000 }, (_, i) => inlineCid(`${name} ${i}`)).every((cid) => cids.has(cid)));
    }
  }
  await watching.until('the last of the other side', isPinned(inlineCid('one 999')));
  await watching.until('the last of the third side', isPinned(inlineCid('two 999')));
  await watching.stop();
  await until('all are up again', async () => {
    const seen = await Promise.all(peers.map((peer) => peer.clients.peers.listPeers({})));
    return seen.every(({ peers: members }) => members.every(({ health }) => health === PeerHealth.UP));
  });
});

t.test('cut again and again while writing, all agree in the end', async (t) => {
  for (let round = 0; round < 3; round++) {
    const writing = Promise.all(
      peers.map((peer) =>
        writeAll(
          peer,
          Array.from({ length: 500 }, (_, i) => ({
            operation: { case: 'pin' as const, value: { cid: inlineCid(`${round} ${peer.name} ${i}`) } },
          })),
        ),
      ),
    );
    for (const proxy of proxies) proxy.cut();
    await writing;
    for (const proxy of proxies) proxy.heal();
  }
  t.equal((await equalDigests(peers, 3_002 + 3 * 1_500)).pins, 7_502);
});

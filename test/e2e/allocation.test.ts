import t from 'tap';
import { TrackerStatus } from '../../gen/pinfold/v1/pin_pb.ts';
import { type LocalPeer, runPinfold, tryPinfold, until } from '../../scripts/local-cluster.ts';
import { acquainted, daemons, inlineCid } from '../support/daemons.ts';

const here = await daemons();
const tagged = (tags: string) => [
  `--monitor-tags=${tags}`,
  '--allocator-required-tags=disk=ssd',
  '--allocator-preferred-tags=rack=near',
];
const eu1 = await here.make('eu1', tagged('region=eu,disk=ssd'));
const eu2 = await here.make('eu2', tagged('region=eu,disk=ssd,rack=near'));
const us = await here.make('us', tagged('region=us,disk=ssd'));
const slow = await here.make('slow', tagged('region=ap,disk=hdd'));
const fan = await here.make('fan', [...tagged('region=ap,disk=ssd'), '--cluster-follower']);
const all = [eu1, eu2, us, slow, fan];
await eu1.start();
await Promise.all(all.slice(1).map((peer) => peer.start({ bootstrap: [eu1.address] })));
await acquainted(all);

const names = (peerIds: readonly string[] = []) =>
  peerIds.map((peerId) => all.find((peer) => peer.peerId === peerId)?.name ?? peerId);

async function pinned(at: LocalPeer, cid: string, ...flags: string[]): Promise<string[]> {
  await runPinfold(['pin', 'add', cid, ...flags, '--host', at.host]);
  const { pin } = await at.clients.pins.getPin({ cid });
  return names(pin?.allocations);
}

t.test(
  'replicas go round the regions, the preferred peer first, and none to peers without a required tag',
  async (t) => {
    for (let i = 0; i < 5; i++) {
      const two = await pinned(us, inlineCid(`two ${i}`), '-r', '2');
      t.same(two, ['eu2', 'us']);
    }
    const three = await pinned(eu1, inlineCid('three'), '--replication-min', '2', '--replication-max', '4');
    t.same(three.toSorted(), ['eu1', 'eu2', 'us'], 'as many as there are, up to max');
    const four = await tryPinfold(['pin', 'add', inlineCid('four'), '-r', '4', '--host', eu1.host]);
    t.match(four.stdout, 'NOT_ENOUGH_PEERS');
  },
);

t.test('a follower gets what it is named for, and keeps it', async (t) => {
  const cid = inlineCid('for the fan');
  t.same(await pinned(us, cid, '-r', '2', '--allocation', fan.peerId), ['fan', 'eu2']);
  t.same(await pinned(eu1, cid, '-r', '3', '--name', 'again'), ['fan', 'eu2', 'us']);
  await until('it pins it', async () => {
    const { status } = await us.clients.pins.getPinStatus({ cid, peerIds: [fan.peerId] });
    return status?.peers[0]?.status === TrackerStatus.PINNED;
  });
  const { peers } = await us.clients.pins.explainPin({ cid: inlineCid('two 0') });
  const why = new Map(peers.map((peer) => [names([peer.peerId])[0], `${peer.reason} ${peer.why}`]));
  t.equal(why.get('slow'), 'MISSING_TAG keeps what it has, takes nothing new: its tag disk is not ssd');
  t.equal(why.get('fan'), 'FOLLOWER takes what is allocated to it by name: it is a follower');
});

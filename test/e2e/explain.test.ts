import t from 'tap';
import { ExplainedPeer_Standing, PinWork_Stage } from '../../gen/pinfold/v1/explain_pb.ts';
import { TrackerStatus } from '../../gen/pinfold/v1/pin_pb.ts';
import { type LocalPeer, runPinfold, tryPinfold, until } from '../../scripts/local-cluster.ts';
import { absentCid, daemons, inlineCid } from '../support/daemons.ts';

const here = await daemons();
const [one, two] = (await here.cluster(2, [
  '--monitor-metric-ttl-ms=2000',
  '--tracker-pin-timeout-ms=500',
  '--tracker-retry-base-ms=600000',
  '--tracker-retry-max-ms=600000',
  '--allocator-allocate-by=tag:region,pinqueue,latency,numpin',
])) as [LocalPeer, LocalPeer];
const pinfold = async (...args: string[]) => (await runPinfold([...args, '--host', one.host])).stdout;

t.test('why a pin lies where it does, and when what failed is tried again', async (t) => {
  await until('both say what they have', async () => {
    const { peers } = await one.clients.peers.listPeers({});
    return peers.every(({ metrics }) => metrics.some(({ name, valid }) => name === 'numpin' && valid));
  });
  const cid = absentCid('explained');
  await pinfold('pin', 'add', cid, '--name', 'nobody has it', '-r', '1', '--allocation', two.peerId);
  await until('failed', async () => {
    const { status } = await one.clients.pins.getPinStatus({ cid });
    return status?.peers.some((peer) => peer.status === TrackerStatus.PIN_ERROR) === true;
  });
  const explained = await one.clients.pins.explainPin({ cid });
  t.same(explained.placedAgain, [two.peerId]);
  t.same(explained.placedAnew, [two.peerId], 'as the user names it');
  t.match(explained.peers, [
    {
      ...{ peerId: two.peerId, allocated: true, rank: 1, standing: ExplainedPeer_Standing.TAKES, reason: '' },
      why: /^takes new pins: tag:region none, pinqueue \d+, latency \d+ ms, numpin \d+$/,
      status: { status: TrackerStatus.PIN_ERROR, attempts: 1 },
      work: { stage: PinWork_Stage.LATER, waitsFor: 'the time of its next attempt' },
    },
    { peerId: one.peerId, allocated: false, rank: 2, status: { status: TrackerStatus.REMOTE }, work: undefined },
  ]);
  const text = await pinfold('pin', 'explain', cid);
  t.match(text, /lies on +peer-2 \(1 peer; 1 to 1 are wanted\)\nwritten again +peer-2\n/);
  t.match(
    text,
    /peer-2 +allocated +number 1\n +takes new pins: .*\n +pin_error since .*; 1 attempt failed; .*: .*; next attempt at /,
  );
  t.match(text, / +waits for the time of its next attempt\n/);
  t.match(text, /\npeer-1 +number 2\n/);
  t.match(JSON.parse(await pinfold('pin', 'explain', cid, '--output', 'json')), { peers: [{ rank: 1 }, { rank: 2 }] });
});

t.test('a peer that is away keeps what it has, and takes nothing', async (t) => {
  const cid = inlineCid('kept');
  await pinfold('pin', 'add', cid, '-r', '2');
  await two.kill('SIGKILL');
  await until('it is noticed', async () => (await pinfold('peers', 'ls')).includes('down'));
  const { peers, placedAgain, placedAnew, problem } = await one.clients.pins.explainPin({ cid });
  t.match(
    peers.find(({ peerId }) => peerId === two.peerId),
    {
      ...{ allocated: true, rank: 0, standing: ExplainedPeer_Standing.KEEPS, reason: 'DOWN' },
      status: { status: TrackerStatus.CLUSTER_ERROR },
    },
  );
  t.equal(placedAgain.length, 2);
  t.same([placedAnew, problem], [[], '']);
  t.match(await pinfold('pin', 'explain', cid), 'keeps what it has, takes nothing new: it is down');
  await pinfold('pin', 'add', cid, '-r', '2', '--name', 'again');
  const refused = await tryPinfold(['pin', 'add', inlineCid('new'), '-r', '2', '--host', one.host]);
  t.match(refused.stdout, 'NOT_ENOUGH_PEERS');
});

t.test('everywhere nobody is chosen; what is not there is not found', async (t) => {
  const cid = inlineCid('everywhere');
  await pinfold('pin', 'add', cid);
  t.match(await pinfold('pin', 'explain', cid), 'everywhere: no peers are chosen');
  const absent = await tryPinfold(['pin', 'explain', absentCid('never pinned'), '--host', one.host]);
  t.equal(absent.code, 1);
  t.match(absent.stderr, 'PIN_NOT_FOUND');
});

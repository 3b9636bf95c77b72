import { hash } from 'node:crypto';
import { ConnectError } from '@connectrpc/connect';
import t from 'tap';
import { TrackerStatus } from '../../gen/pinfold/v1/pin_pb.ts';
import { pause, until } from '../../scripts/local-cluster.ts';
import { BulkStream } from '../support/bulk.ts';
import { absentCid, acquainted, daemons, equalDigests, inlineCid } from '../support/daemons.ts';

/*
 * SIGKILL in the middle of a bulk stream, at instants that a seed decides. What was acknowledged was flushed (F1), so it
 * is there after the restart; the stream goes on by its key (6.3); and the cluster ends in one state.
 */
const rounds = process.env.TEST_LONG === '1' ? 20 : 5;
const seed = Number(process.env.TEST_SEED ?? Date.now() % 1_000_000_007);
const operationsPerRound = 3_000;

t.comment(`seed ${seed} (repeat with TEST_SEED=${seed})`);
/** The instants: after how much of the stream is acknowledged, and so many milliseconds later, who dies. */
const instants = Array.from({ length: rounds }, (_, round) => {
  const random = hash('sha256', `${seed} ${round}`, 'buffer');
  return {
    percent: random.readUInt32LE(0) % 96,
    laterMs: random.readUInt32LE(4) % 40,
    victim: random.readUInt32LE(8) % 3,
  };
});

const here = await daemons();
const peers = await here.cluster(3, ['--tracker-retry-base-ms=2000', '--tracker-pin-timeout-ms=1000']);
/** Content that nobody has, which must not be in the way of the rest. */
const absent = new Set<string>();
let pins = 0;

const cidsOf = (round: number) =>
  Array.from({ length: operationsPerRound }, (_, i) => {
    if (i % 1_000 !== 0) return inlineCid(`${round}/${i}`);
    const cid = absentCid(`${round}/${i}`);
    absent.add(cid);
    return cid;
  });

for (const [round, { percent, laterMs, victim }] of instants.entries()) {
  const peer = peers[victim]!;
  const when = `after ${percent} % and ${laterMs} ms, ${peer.name}`;
  t.test(`round ${round + 1}: killed ${when}`, async (t) => {
    const stream = new BulkStream(`round ${round} of ${seed}`, cidsOf(round));
    const cut = stream.run(peer).catch((error) => error);
    await until('so much is acknowledged', () => stream.decided >= (percent / 100) * operationsPerRound);
    await pause(laterMs);
    t.equal(await peer.kill('SIGKILL'), 137);
    const killedMs = Date.now();
    const error = await cut;
    const before = stream.decided;
    t.ok(error === undefined || error instanceof ConnectError, `the client saw: ${error}`);

    await peer.start({ bootstrap: peers.filter((each) => each !== peer).map(({ address }) => address) });
    const servedMs = Date.now();
    t.same(await stream.missing(peer, before), [], 'no acknowledged pin is missing after the restart');
    await until('the peer takes writes again', async () => {
      await stream.run(peer).catch((failure) => {
        if (!(failure instanceof ConnectError)) throw failure;
      });
      return stream.decided === operationsPerRound;
    });
    t.ok(stream.resumedFrom >= before, `resumed from ${stream.resumedFrom}, ${before} were acknowledged`);
    t.same(stream.failures, []);
    pins += operationsPerRound;
    const resumedMs = Date.now();
    await equalDigests(peers, pins);
    t.comment(
      `served after ${servedMs - killedMs} ms, resumed after ${resumedMs - servedMs}, agreed after ${Date.now() - resumedMs}`,
    );
    for (const each of peers)
      t.same(await stream.missing(each, operationsPerRound), [], `all is there at ${each.name}`);
  });
}

t.test('every peer pins what can be had, and says pinned of nothing else', async (t) => {
  await acquainted(peers);
  for (const peer of peers) {
    await until(
      `${peer.name} has pinned all that there is`,
      async () => {
        const { statuses } = await peer.clients.cluster.getCluster({});
        return Number(statuses?.pinned) === pins - absent.size;
      },
      120_000,
    );
  }
  let seen = 0;
  const unheard: unknown[] = [];
  for await (const { statuses, errors } of peers[0]!.clients.pins.listPinStatuses({})) {
    unheard.push(...errors);
    for (const { cid, peers: words } of statuses) {
      seen++;
      const held = words.filter(({ status }) => status === TrackerStatus.PINNED).length;
      if (held !== (absent.has(cid) ? 0 : peers.length)) t.fail(`${cid} is pinned on ${held} peers`);
    }
  }
  t.equal(seen, pins);
  t.same(unheard, []);
});

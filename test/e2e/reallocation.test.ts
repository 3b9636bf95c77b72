import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { type Pin, TrackerStatus } from '../../gen/pinfold/v1/pin_pb.ts';
import { type LocalPeer, runPinfold, tryPinfold, until } from '../../scripts/local-cluster.ts';
import { writeAll } from '../support/bulk.ts';
import { daemons, equalDigests, inlineCid } from '../support/daemons.ts';

const graceMs = 15_000;
const here = await daemons();
const flags = ['--monitor-metric-ttl-ms=2000', `--cluster-reallocation-grace-ms=${graceMs}`];
const peers = await here.cluster(4, flags);
const [one, two, three, four] = peers as [LocalPeer, LocalPeer, LocalPeer, LocalPeer];

const at = (peer: LocalPeer, ...args: string[]) => tryPinfold([...args, '--host', peer.host]);
const options = { replicationMin: 2, replicationMax: 2 };

async function pinsOf(peer: LocalPeer): Promise<Pin[]> {
  const pins: Pin[] = [];
  for await (const page of peer.clients.pins.listPins({})) pins.push(...page.pins);
  return pins;
}

const placed = async (peer: LocalPeer) =>
  (await pinsOf(peer)).map(({ cid, allocations }) => `${cid} ${[...allocations].sort()}`).sort();

/** Every pin says `pinned` at all its allocations, and has as many as it wants, none of them there. */
async function settled(peer: LocalPeer, without: readonly LocalPeer[]): Promise<void> {
  await until('all pins lie where they should', async () => {
    let open = 0;
    for await (const { statuses } of peer.clients.pins.listPinStatuses({})) {
      for (const { allocations, peers: words } of statuses) {
        const holding = words.filter(({ status }) => status === TrackerStatus.PINNED).map(({ peerId }) => peerId);
        const isDone =
          allocations.length === 2 &&
          allocations.every((peerId) => holding.includes(peerId)) &&
          without.every(({ peerId }) => !allocations.includes(peerId));
        if (!isDone) open++;
      }
    }
    return open === 0;
  });
}

const cids = Array.from({ length: 200 }, (_, i) => inlineCid(`pin ${i}`));

t.before(async () => {
  await writeAll(
    one,
    cids.map((cid, i) => {
      const userAllocations = [peers[i % 4]!.peerId, peers[(i + 1) % 4]!.peerId];
      return { operation: { case: 'pin', value: { cid, options: { ...options, userAllocations } } } };
    }),
  );
  for (let i = 0; i < 6; i++) {
    const file = join(here.root, `file-${i}`);
    await writeFile(file, Buffer.alloc(600_000, i + 1));
    const by = peers[i % 4] as LocalPeer;
    await runPinfold(['add', '-r', '2', file, '--host', by.host]);
  }
  await equalDigests(peers, 206);
  await settled(one, []);
});

t.test('a peer that is away for less than the grace period moves nothing', async (t) => {
  const before = await placed(one);
  await four.kill('SIGKILL');
  await until('four is seen to be down', async () => {
    const { peers: members } = await one.clients.peers.listPeers({});
    return members.some(({ peerId, health }) => peerId === four.peerId && health === 3);
  });
  await four.start();
  await until('four is up', async () => {
    const { peers: members } = await one.clients.peers.listPeers({});
    return members.every(({ health }) => health === 1);
  });
  t.same(await placed(one), before);
});

t.test('what a lost peer held is given to others, and it finds that so when it comes back', async (t) => {
  const before = await pinsOf(one);
  const concerned = before.filter(({ allocations }) => allocations.includes(four.peerId));
  t.ok(concerned.length > 20, `${concerned.length} pins lie there`);
  await four.kill('SIGKILL');
  await settled(one, [four]);
  const after = new Map((await pinsOf(one)).map((pin) => [pin.cid, pin]));
  for (const { cid, allocations } of before) {
    const kept = allocations.filter((peerId) => peerId !== four.peerId);
    t.ok(
      kept.every((peerId) => after.get(cid)?.allocations.includes(peerId)),
      'who was not lost keeps what it has',
    );
  }
  await four.start();
  await equalDigests(peers, 206);
  await settled(four, []);
});

t.test('drain: a plan, then no pin is left there, and nothing new goes there', async (t) => {
  const plan = await at(one, 'drain', two.peerId);
  t.equal(plan.code, 0, plan.stderr);
  t.match(plan.stdout, /pins would move: --apply does it/);
  const had = (await pinsOf(one)).filter(({ allocations }) => allocations.includes(two.peerId)).length;
  t.match(plan.stdout, `${had} pins would move`);

  const copies = watchCopies(one);
  const drained = await at(one, 'drain', two.peerId, '--apply');
  t.equal(drained.code, 0, drained.stderr);
  t.match(drained.stdout, 'no pin is allocated to it any more');
  t.equal(await copies.least(), 2, 'complete copies were never fewer than min');
  await settled(three, [two]);
  t.match((await at(three, 'peers', 'ls')).stdout, 'draining');

  t.equal(await two.kill('SIGTERM'), 0);
  await two.start();
  await until('two still says so', async () => {
    const { peers: members } = await one.clients.peers.listPeers({});
    return members.some(({ peerId, draining, health }) => peerId === two.peerId && draining && health === 1);
  });
  await writeAll(
    two,
    Array.from({ length: 20 }, (_, i) => ({
      operation: { case: 'pin', value: { cid: inlineCid(`later ${i}`), options } },
    })),
  );
  await settled(two, [two]);
  t.equal((await at(one, 'undrain', two.peerId)).code, 0);
  t.notMatch((await at(two, 'peers', 'ls')).stdout, 'draining');
});

t.test('rebalance: each gets about its share', async (t) => {
  const plan = await at(three, 'rebalance');
  t.equal(plan.code, 0, plan.stderr);
  t.match(plan.stdout, /pins would move/);
  const applied = await at(three, 'rebalance', '--apply');
  t.equal(applied.code, 0, applied.stderr);
  await settled(one, []);
  const pins = await pinsOf(one);
  for (const { peerId, name } of peers) {
    const has = pins.filter(({ allocations }) => allocations.includes(peerId)).length;
    t.ok(Math.abs(has - pins.length / 2) < pins.length * 0.05, `${name} has ${has} of ${pins.length} pins`);
  }
  t.match((await at(three, 'rebalance')).stdout, 'every peer has about its share');
});

t.test('a pin of a lost majority is not moved, and the operator is told; clear answers', async (t) => {
  await three.kill('SIGKILL');
  await four.kill('SIGKILL');
  await until('one holds back', async () => {
    const { alerts } = await one.clients.cluster.getCluster({});
    return alerts.some(({ kind }) => kind === 'REALLOCATION_HELD');
  });
  await three.start();
  await four.start();
  await until('and then not any more', async () => {
    const { alerts } = await one.clients.cluster.getCluster({});
    return alerts.every(({ kind }) => kind !== 'REALLOCATION_HELD');
  });
  const unknown = await at(one, 'drain', here.root, '--apply');
  t.equal(unknown.code, 1);
  t.match(unknown.stderr, 'PEER_NOT_FOUND');
});

/** Looks at the first hundred pins again and again: the fewest complete copies that one of them was ever said to have. */
function watchCopies(peer: LocalPeer): { least(): Promise<number> } {
  let isOver = false;
  let least = Number.POSITIVE_INFINITY;
  const looking = (async () => {
    while (!isOver) {
      for await (const { statuses } of peer.clients.pins.listPinStatuses({ pageSize: 100 })) {
        for (const { peers: words } of statuses) {
          const copies = words.filter(({ status }) => status === TrackerStatus.PINNED).length;
          least = Math.min(least, copies);
        }
      }
    }
  })();
  return {
    async least() {
      isOver = true;
      await looking;
      return least;
    },
  };
}

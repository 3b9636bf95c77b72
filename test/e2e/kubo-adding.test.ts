import t from 'tap';
import { ContentFormat } from '../../gen/pinfold/v1/pin_service_pb.ts';
import type { LocalPeer } from '../../scripts/local-cluster.ts';
import { until } from '../../scripts/local-cluster.ts';
import { addStream, carOfFile, digestOf, exported, seededPieces } from '../support/adding.ts';
import { acquainted, daemons, held, ipfsStateOf, pinnedOn, refusal } from '../support/daemons.ts';
import { KuboNode, withoutKubo } from '../support/kubo.ts';

const isLong = process.env.TEST_LONG === '1';
const MiB = 2 ** 20;

t.test('adding to three peers on Kubo', { skip: withoutKubo, timeout: isLong ? 3_600_000 : 300_000 }, async (t) => {
  const here = await daemons();
  const nodes = await Promise.all([1, 2, 3].map(() => KuboNode.start(t)));
  const peers = await Promise.all(
    nodes.map((node, i) => here.make(`on-kubo-${i + 1}`, ['--ipfs-kind=kubo', `--ipfs-api=${node.api}`])),
  );
  const [one, two, three] = peers as [LocalPeer, LocalPeer, LocalPeer];
  await one.start();
  for (const peer of [two, three]) await peer.start({ bootstrap: [one.address] });
  await acquainted(peers);
  const twice = { options: { replicationMin: 2, replicationMax: 2 } };
  const nodeOf = (peerId: string) => nodes[peers.findIndex((peer) => peer.peerId === peerId)] as KuboNode;
  const without = (allocations: readonly string[]) =>
    peers.find(({ peerId }) => !allocations.includes(peerId)) as LocalPeer;

  await t.test(
    'a file lies complete on the disks of its two nodes when the answer comes, and is read at the third',
    async (t) => {
      const bytes = isLong ? 1024 * MiB : 24 * MiB;
      const { cid, allocations, progress } = await addStream(one, twice, seededPieces('kubo', bytes));
      t.equal(allocations.length, 2);
      for (const { sentBytes } of progress?.destinations ?? []) t.ok(Number(sentBytes) >= bytes);
      for (const peerId of allocations) {
        const refs = await nodeOf(peerId).ipfs('--offline', 'refs', '--recursive', '--unique', cid);
        t.ok(refs.split('\n').length >= bytes / 262_144, 'without asking anybody');
      }
      await pinnedOn(without(allocations), cid, allocations);
      t.equal(await digestOf(exported(without(allocations), cid)), await digestOf(seededPieces('kubo', bytes)));

      const again = await addStream(one, twice, seededPieces('kubo', bytes));
      t.equal(again.cid, cid);
      for (const { peerId, sentBlocks } of again.progress?.destinations ?? []) {
        if (allocations.includes(peerId)) t.equal(sentBlocks, 0n, 'what is there is not sent again');
      }
    },
  );

  await t.test('a CAR', async (t) => {
    const car = carOfFile('kubo car', isLong ? 2_000 : 64);
    const { cid, allocations } = await addStream(two, { ...twice, format: ContentFormat.CAR }, car.pieces());
    t.equal(cid, car.root.toString());
    await pinnedOn(one, cid, allocations);
    for (const peerId of allocations) await nodeOf(peerId).ipfs('--offline', 'refs', '--recursive', cid);
  });

  await t.test('a node that is killed on the way: below the minimum the add fails and nothing is pinned', async (t) => {
    for (const seed of isLong ? [1, 2, 3, 4, 5, 6] : [1]) {
      const before = await held(one);
      const everywhere = { options: { replicationMin: 3, replicationMax: 3 } };
      const dying = nodes[seed % 3] as KuboNode;
      const owner = peers[seed % 3] as LocalPeer;
      let killing: Promise<void> | undefined;
      const pieces = seededPieces(`killed ${seed}`, 24 * MiB);
      const failure = await refusal(
        addStream(one, everywhere, pieces, async (piece) => {
          if (piece === 8 + seed * 3) killing = dying.stop('SIGKILL');
          if (piece === 10 + seed * 3) await killing;
        }),
      );
      t.match(failure, /IPFS_UNAVAILABLE|IPFS_FAILED/);
      t.equal((await held(one)).pins, before.pins);
      await dying.start();
      await until('its peer has it back', async () => (await ipfsStateOf(owner)) === 'up');
    }
  });

  await t.test('with enough left it goes on, and the pin is made whole later', async (t) => {
    const some = { options: { replicationMin: 1, replicationMax: 3 } };
    const dying = nodes[2] as KuboNode;
    let killing: Promise<void> | undefined;
    const pieces = () => seededPieces('goes on', 24 * MiB);
    const { cid, progress, allocations } = await addStream(one, some, pieces(), async (piece) => {
      if (piece === 20) killing = dying.stop('SIGKILL');
      if (piece === 22) await killing;
    });
    const failed = progress?.destinations.filter(({ error }) => error !== '') ?? [];
    t.same(
      failed.map(({ peerId }) => peerId),
      [three.peerId],
    );
    await dying.start();
    await until('its peer has it back', async () => (await ipfsStateOf(three)) === 'up');
    await pinnedOn(one, cid, allocations);
    t.equal(await digestOf(exported(three, cid)), await digestOf(pieces()));
  });
});

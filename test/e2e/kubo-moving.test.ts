import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type LocalPeer, pause, runPinfold, spawnPinfold, tryPinfold, until } from '../../scripts/local-cluster.ts';
import { ipfsNetworkKey } from '../../src/daemon/ipfs-key.ts';
import { writeAll } from '../support/bulk.ts';
import { acquainted, daemons, equalDigests } from '../support/daemons.ts';
import { filesOnlyAt, KuboNode, withoutKubo } from '../support/kubo.ts';

const pins = 90;
const copiesMin = 2;
/** For all pins to move, on a slow machine. */
const slowMs = 120_000;

/** Pins that move between real nodes: what counts is what Kubo itself says that it holds. */
t.test('drain and rebalance of three peers over three Kubos', { skip: withoutKubo, timeout: 500_000 }, async (t) => {
  const here = await daemons();
  const swarmKey = ipfsNetworkKey(Buffer.from(await readFile(here.secretFile, 'utf8'), 'hex'));
  const kubos = (await Promise.all([1, 2, 3].map(() => KuboNode.start(t, { swarmKey })))) as Three<KuboNode>;
  const [a, b, c] = kubos;
  // Slow enough for a drain to be interrupted in its middle.
  const flags = ['--cluster-reallocated-pins-per-second-max=5', '--tracker-retry-base-ms=1000'];
  const peers = (await Promise.all(
    kubos.map(({ api }, i) => here.make(`peer-${i}`, ['--ipfs-kind=kubo', `--ipfs-api=${api}`, ...flags])),
  )) as Three<LocalPeer>;
  const [atA, atB, atC] = peers;
  await atA.start();
  for (const peer of [atB, atC]) await peer.start({ bootstrap: [atA.address] });
  await acquainted(peers);

  const cids = await filesOnlyAt(a, join(here.root, 'files'), { count: pins });
  const { peer: first } = await atA.clients.peers.getPeer({});
  const origins = first?.ipfs?.addresses ?? [];
  await writeAll(
    atA,
    cids.map((cid, i) => {
      const userAllocations = [peers[i % 3]!.peerId, peers[(i + 1) % 3]!.peerId];
      const options = { replicationMin: copiesMin, replicationMax: copiesMin, userAllocations, origins };
      return { operation: { case: 'pin', value: { cid, options } } };
    }),
  );
  await equalDigests(peers, pins);
  await settled('pinned where they were placed');

  /** Every Kubo holds exactly what is allocated to its peer, and each pin has all the copies that it wants. */
  async function settled(what: string): Promise<void> {
    await until(
      what,
      async () => {
        const wanted = await allocated();
        const held = await Promise.all(kubos.map((kubo) => kubo.held()));
        return [...wanted.values()].reduce((sum, each) => sum + each.length, 0) === pins * copiesMin
          ? peers.every(({ peerId }, i) => sameTexts(wanted.get(peerId) ?? [], held[i] ?? []))
          : false;
      },
      slowMs,
    );
  }

  /** By peer ID, what the pinset says that it has to hold. */
  async function allocated(): Promise<Map<string, string[]>> {
    const by = new Map<string, string[]>();
    for await (const page of atA.clients.pins.listPins({})) {
      for (const { cid, allocations } of page.pins)
        for (const peerId of allocations) by.set(peerId, [...(by.get(peerId) ?? []), cid]);
    }
    return by;
  }

  /** What a pin record stands for is there: every block of it, read anew. */
  async function verified(t: Test, kubo: KuboNode): Promise<void> {
    const held = await kubo.held();
    const sound = new Set((await kubo.ipfs('pin', 'verify', '--verbose')).split('\n'));
    t.same(
      held.filter((cid) => !sound.has(`${cid} ok`)),
      [],
      `all blocks of ${held.length} pins are there`,
    );
  }

  await t.test('a drain that is killed in its middle goes on, and at no time is a pin short of copies', async (t) => {
    const copies = new CopyWatch([b, a, c], cids);
    const atFirst = (await b.held()).length;
    t.ok(atFirst >= pins / 3, `it holds ${atFirst} pins`);
    const interrupted = spawnPinfold(['drain', atB.peerId, '--apply', '--host', atB.host]);
    await until('some have left', async () => (await b.held()).length <= atFirst - 5, slowMs);
    await atB.kill('SIGKILL');
    t.not((await interrupted.ended).code, 0, 'who followed it is told');
    const inTheMiddle = (await b.held()).length;
    t.ok(inTheMiddle > 0, `${inTheMiddle} of ${atFirst} were left when it was killed`);
    await atB.start({ bootstrap: [atA.address] });
    await acquainted(peers);
    const followed = await tryPinfold(['drain', atB.peerId, '--apply', '--host', atC.host]);
    t.equal(followed.code, 0, followed.stderr);
    t.match(followed.stdout, 'no pin is allocated to it any more');
    await until('its node holds none', async () => (await b.held()).length === 0, slowMs);
    await settled('drained');
    t.equal(await copies.least(), copiesMin, `the fewest copies of a pin in ${copies.looks} looks`);
    for (const kubo of [a, c]) await verified(t, kubo);
  });

  await t.test('undrain ends it, and a rebalance gives each its share, with no pin short of copies', async (t) => {
    t.match((await runPinfold(['peers', 'ls', '--host', atA.host])).stdout, 'draining');
    await runPinfold(['undrain', atB.peerId, '--host', atA.host]);
    await until(
      'nobody says that it is draining',
      async () => !(await runPinfold(['peers', 'ls', '--host', atC.host])).stdout.includes('draining'),
    );
    const copies = new CopyWatch([a, c, b], cids);
    const applied = await tryPinfold(['rebalance', '--apply', '--host', atA.host]);
    t.equal(applied.code, 0, applied.stderr);
    t.match(applied.stdout, /pins on the way/);
    await until('it has about its share', async () => (await b.held()).length >= (pins * 2 * 0.9) / 3, slowMs);
    await settled('balanced');
    t.equal(await copies.least(), copiesMin, `the fewest copies of a pin in ${copies.looks} looks`);
    t.match((await runPinfold(['rebalance', '--host', atC.host])).stdout, 'every peer has about its share');
    await verified(t, b);
  });
});

type Three<T> = [T, T, T];

/**
 * Asks the nodes again and again what they hold, one after the other. Those that lose pins come first: a pin that one of them
 * has lost by then must be on those that get them.
 */
class CopyWatch {
  looks = 0;
  #least = Number.POSITIVE_INFINITY;
  #isOver = false;
  readonly #looking: Promise<void>;

  constructor(order: readonly KuboNode[], cids: readonly string[]) {
    this.#looking = this.#look(order, cids);
    this.#looking.catch(() => {});
  }

  async #look(order: readonly KuboNode[], cids: readonly string[]): Promise<void> {
    while (!this.#isOver) {
      const copies = new Map(cids.map((cid) => [cid, 0]));
      for (const kubo of order) for (const cid of await kubo.held()) copies.set(cid, (copies.get(cid) ?? 0) + 1);
      this.#least = Math.min(this.#least, ...copies.values());
      this.looks++;
      await pause(20);
    }
  }

  /** That a pin had in any look, until now. */
  async least(): Promise<number> {
    this.#isOver = true;
    await this.#looking;
    return this.#least;
  }
}

function sameTexts(one: readonly string[], other: readonly string[]): boolean {
  return [...one].sort().join() === [...other].sort().join();
}

import t from 'tap';
import { bucketCount, bucketOf } from '../../src/model/pin-key.ts';
import { isSound } from '../../src/pinset/scrub/scrub.ts';
import { pinOp, shortLogs, TestCluster, type TestPeer, testSigner } from '../support/crdt-peers.ts';
import { stateOf } from '../support/crdt-truth.ts';
import { damage } from '../support/damage.ts';

// 4.6 where a disk, the source's or one's own, has changed or lost rows.

const alertsOf = ({ consensus }: TestPeer) => consensus.status().alerts.map(({ kind }) => kind);
const bucketOfHex = (key: string) => bucketOf(Buffer.from(key, 'hex'));

/** `a` and `b` have the same; `c` was away for longer than their logs reach back, and is still apart from both. */
async function apart(seed: number): Promise<{ cluster: TestCluster; a: TestPeer; b: TestPeer; c: TestPeer }> {
  const cluster = new TestCluster(seed, undefined, { delayMs: () => 2 });
  for (const name of ['a', 'b', 'c']) await cluster.add({ name, crdt: shortLogs });
  const [a, b, c] = [cluster.peer('a'), cluster.peer('b'), cluster.peer('c')];
  const peers = [a, b, c];
  await cluster.until(() => peers.every(({ consensus }) => consensus.status().phase === 'ready'), 'ready');
  await a.commit(...Array.from({ length: 200 }, (_, i) => ({ ops: [pinOp(i)] })));
  await cluster.until(() => peers.every((peer) => peer.root() === a.root()), 'equal');
  for (const name of ['a', 'b']) cluster.hub.partition(testSigner(name).peerId, c.peerId);
  await a.commit(...Array.from({ length: 100 }, (_, i) => ({ ops: [pinOp(`new ${i}`)] })));
  await cluster.until(() => a.root() === b.root(), 'equal without the third');
  await cluster.time.advance(5_000);
  return { cluster, a, b, c };
}

async function isWhole(cluster: TestCluster, peer: TestPeer): Promise<boolean> {
  const snapshot = await cluster.pumped(peer, peer.pinset.snapshot());
  try {
    const states = peer.pinset.scrub.states(snapshot, { from: 0, to: bucketCount, rowsMax: Number.POSITIVE_INFINITY });
    return [...states].every(isSound);
  } finally {
    snapshot.close();
  }
}

for (const kind of ['lose', 'flip', 'garble'] as const) {
  t.test(`${kind}: what a source's disk did to a row is handed to nobody; another source has it`, async (t) => {
    const { cluster, a, b, c } = await apart(1);
    const truth = stateOf(b.storage.read, b.pinset).rows;
    const damaged = await damage(a, { kind, at: 250 });
    if (damaged === undefined) throw new Error('there are rows');
    t.same(alertsOf(a), [], 'nothing is seen yet');
    cluster.hub.heal(a.peerId, c.peerId);
    await cluster.until(() => alertsOf(a).includes('ROW_DAMAGED'), 'the source finds out about its disk');
    t.match(a.pinset.scrub.findings().findings, [{ bucket: bucketOfHex(damaged) }]);
    await cluster.until(() => c.consensus.status().rebuild?.done === bucketOfHex(damaged), 'up to what is damaged');
    await cluster.time.advance(5_000);
    const { rebuild } = c.consensus.status();
    t.equal(rebuild?.done, bucketOfHex(damaged), 'and not further');
    t.match(rebuild?.problem, /bucket \d+.*pinfold store repair/, 'it says why, and what to do');
    cluster.hub.heal(b.peerId, c.peerId);
    await cluster.until(() => c.root() === b.root(), 'the other source has the rest');
    t.strictSame(stateOf(c.storage.read, c.pinset).rows, truth);
    t.ok(await isWhole(cluster, c));
    await cluster.stop();
  });

  t.test(`${kind}: own rows that are damaged are not merged, but taken as the source has them`, async (t) => {
    const { cluster, b, c } = await apart(2);
    const truth = stateOf(b.storage.read, b.pinset).rows;
    for (const at of [20, 120, 121]) await damage(c, { kind, at });
    t.notOk(await isWhole(cluster, c));
    cluster.hub.heal(b.peerId, c.peerId);
    await cluster.until(() => c.root() === b.root(), 'equal');
    t.strictSame(stateOf(c.storage.read, c.pinset).rows, truth);
    t.ok(await isWhole(cluster, c));
    await cluster.time.advance(1_000);
    t.same(alertsOf(c), [], 'the damage went with the old set');
    await cluster.stop();
  });
}

t.test(
  'own rows are damaged, and the source lacks what only this peer wrote: it waits, and then loses nothing',
  async (t) => {
    const { cluster, b, c } = await apart(3);
    await c.commit({ ops: [pinOp('only here')] });
    await damage(c, { kind: 'lose', at: 20 });
    cluster.hub.heal(b.peerId, c.peerId);
    await cluster.until(() => c.root() === b.root(), 'equal');
    t.strictSame(stateOf(c.storage.read, c.pinset).rows, stateOf(b.storage.read, b.pinset).rows);
    t.ok(await isWhole(cluster, c));
    t.equal(c.pinset.count(), 301);
    await cluster.stop();
  },
);

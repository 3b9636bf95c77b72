import { create } from '@bufbuild/protobuf';
import t from 'tap';
import { SignedBatchSchema } from '../../../gen/pinfold/peer/v1/batch_pb.ts';
import { TellForkRequestSchema, type TellForkResponse } from '../../../gen/pinfold/peer/v1/service_pb.ts';
import { decodeSignedBatch } from '../../../src/consensus/crdt/codec/signed-batch.ts';
import { forksTable, logTable, replicasTable } from '../../../src/consensus/crdt/tables.ts';
import { isPinfoldError } from '../../../src/model/errors.ts';
import { CraftedAuthor, stranger } from '../../support/crafted-author.ts';
import { pinOp, TestCluster, type TestPeer, testKey } from '../../support/crdt-peers.ts';

const alerts = ({ consensus }: TestPeer) => consensus.status().alerts.map(({ kind }) => kind);
const never = new AbortController().signal;

async function two(): Promise<{ cluster: TestCluster; a: TestPeer; b: TestPeer }> {
  const cluster = new TestCluster();
  const [a, b] = [await cluster.add({ name: 'a' }), await cluster.add({ name: 'b' })];
  await cluster.until(() => [a, b].every(({ consensus }) => consensus.status().phase === 'ready'), 'ready', 5_000);
  return { cluster, a, b };
}

const replicas = (peer: TestPeer) => [...peer.storage.read.range(replicasTable)].length;

t.test(
  'N3: a peer that starts with pins writes when it has compared clocks, or when it has waited long enough',
  async (t) => {
    const { cluster, a, b } = await two();
    await b.one(pinOp('of b'));
    await cluster.until(() => a.pinset.count() === 1, 'a has it');
    await a.crash();
    cluster.hub.partition(a.peerId, b.peerId);
    await a.start();
    let isWritten = false;
    const written = a.consensus.commit([{ ops: [pinOp('waits')] }], { signal: never }).then(() => {
      isWritten = true;
    });
    await cluster.time.advance(900);
    t.notOk(isWritten, 'b is not reached');
    await cluster.time.advance(3_000);
    t.ok(isWritten, 'alone, it goes on');
    await written;
    await a.crash();
    cluster.hub.heal(a.peerId, b.peerId);
    await a.start();
    const atMs = cluster.time.clock.nowMs();
    t.equal((await a.one(pinOp('met'))).ok, true);
    t.ok(cluster.time.clock.nowMs() - atMs < 500, 'it does not wait for more than b');
    await cluster.stop();
  },
);

t.test('N3: rolled back in place, and reached: not one number is used twice', async (t) => {
  const { cluster, a, b } = await two();
  await b.one(pinOp(1));
  await cluster.until(() => a.pinset.count() === 1, 'a has it');
  await a.one(pinOp('own'));
  await cluster.until(() => b.pinset.count() === 2, 'b has it');
  const older = a.storage.control.copy();
  await a.one(pinOp(2));
  await cluster.until(() => b.pinset.count() === 3, 'b has all');
  await a.crash();
  a.storage = older;
  await a.start();
  t.equal((await a.one(pinOp(3))).ok, true);
  await cluster.until(() => [a, b].every(({ pinset }) => pinset.count() === 4), 'all is everywhere');
  t.same(alerts(a), ['ROLLED_BACK']);
  t.equal([...a.storage.read.range(forksTable)].length, 0, 'no fork');
  await cluster.time.advance(70_000);
  t.same(alerts(a), [], 'and the alert has ended');
  t.equal(a.root(), b.root());
  await cluster.stop();
});

async function told(network: Awaited<ReturnType<typeof stranger>>, peer: TestPeer, proof: readonly Uint8Array[]) {
  const headers = proof.map((bytes) =>
    create(SignedBatchSchema, { ...decodeSignedBatch(bytes), ops: new Uint8Array(0) }),
  );
  const request = create(TellForkRequestSchema, { proof: headers });
  const answers: TellForkResponse[] = [];
  try {
    for await (const answer of network.rpc.call(peer.peerId, 'tellFork', [request], { signal: never }))
      answers.push(answer);
    return answers[0]?.settled.length;
  } catch (problem) {
    return isPinfoldError(problem) ? problem.code : String(problem);
  }
}

t.test('N4: an author believes its own signature alone', async (t) => {
  const { cluster, a, b } = await two();
  await a.one(pinOp(1));
  await a.one(pinOp(2));
  const network = await stranger(cluster);
  await cluster.time.advance(1_000);
  const own = [...a.storage.read.range(logTable)].map(({ value }) => value);
  const foreign = [new CraftedAuthor('x').batch([{}]), new CraftedAuthor('x').batch([{ name: 'other' }])];
  const wrong: readonly [string, readonly Uint8Array[]][] = [
    ['nothing', []],
    ['two of one history', own],
    ['of another author', foreign],
    ['own and of another', [own[0] as Uint8Array, foreign[0] as Uint8Array]],
  ];
  for (const [what, proof] of wrong) {
    const answer = told(network, a, proof);
    await cluster.time.advance(200);
    t.equal(await answer, 'INVALID_ARGUMENT', what);
  }
  const lone = told(network, a, [own[1] as Uint8Array]);
  await cluster.time.advance(2_000);
  t.equal(await lone, 0, 'one header alone is looked into, and leads to nothing');
  t.same(alerts(a), []);
  t.equal(replicas(a), replicas(b));
  await cluster.stop();
});

t.test('store rejoin: refused while nobody has all, names what would be lost, and goes on', async (t) => {
  const { cluster, a, b } = await two();
  await a.one(pinOp(1));
  await cluster.until(() => b.pinset.count() === 1, 'b has it');
  cluster.hub.partition(a.peerId, b.peerId);
  await a.one(pinOp(2));
  const leave = (force: boolean) => {
    let result: unknown;
    const work = a.consensus.keeping.prepareRejoin({ force, signal: never }).then(
      () => {
        result = 'may be left';
      },
      (problem) => {
        result = problem;
      },
    );
    return { work, result: () => result };
  };
  const refused = leave(false);
  await cluster.time.advance(100);
  t.equal(a.consensus.refusal()?.code, 'JOINING', 'no writes meanwhile');
  await cluster.time.advance(25_000);
  await refused.work;
  t.match(refused.result(), { code: 'NOT_COVERED', details: { facts: { operations: '2' } } });
  t.equal(a.consensus.refusal(), undefined);
  t.equal((await a.one(pinOp(3))).ok, true);

  const forced = leave(true);
  await cluster.time.advance(25_000);
  await forced.work;
  t.equal(forced.result(), 'may be left');
  await cluster.stop();
});

t.test('store rejoin: what only this peer has is given to the others first', async (t) => {
  const { cluster, a, b } = await two();
  cluster.hub.partition(a.peerId, b.peerId);
  await a.one(pinOp('only here'));
  cluster.hub.heal(a.peerId, b.peerId);
  await cluster.time.advance(50);
  const left = a.consensus.keeping.prepareRejoin({ force: false, signal: never });
  await cluster.time.advance(5_000);
  await left;
  t.ok(b.pinset.get(testKey('only here')));
  await cluster.stop();
});

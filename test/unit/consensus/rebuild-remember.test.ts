import t from 'tap';
import type { Request } from '../../../src/consensus/consensus.ts';
import { pinOp, TestCluster } from '../../support/crdt-peers.ts';

const key = Buffer.alloc(16, 'call');
const stream = Buffer.alloc(16, 'stream');

t.test('what a joining peer takes in from logs it remembers the calls and streams of', async (t) => {
  const cluster = new TestCluster(3, undefined, { delayMs: () => 40 });
  const a = await cluster.add({ name: 'a', crdt: { followPeersMax: 0 } });
  for (let i = 0; i < 50; i++) await a.one(pinOp(`before ${i}`));
  const b = await cluster.add({ name: 'b', crdt: { followPeersMax: 0 } });
  await cluster.until(() => (b.consensus.status().rebuild?.done ?? 0) > 0, 'a range has come');
  t.equal(b.consensus.status().phase, 'joining');
  const call: Request = { ops: [pinOp('called')], idempotency: { key, request: Buffer.alloc(16) } };
  const [first] = await a.commit(call);
  const numbered = [1, 2, 3].map(
    (number): Request => ({ ops: [pinOp(`s${number}`)], stream: { key: stream, number } }),
  );
  await a.commit(...numbered);
  await cluster.until(() => b.consensus.status().phase === 'ready', 'b has joined');
  await cluster.until(() => a.root() === b.root(), 'they agree');
  t.equal(await b.consensus.streamDecided(stream), 3);
  const [again] = await b.commit(call);
  t.ok(first?.ok && again?.ok);
  if (first?.ok && again?.ok) t.same(again.position, first.position, 'the first one’s result, not another write');
  await cluster.stop();
});

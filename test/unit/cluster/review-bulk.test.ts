import t from 'tap';
import { type BulkWrite, pins } from '../../../src/cluster/pins.ts';
import type { CallContext } from '../../../src/model/call-context.ts';
import { PinfoldError } from '../../../src/model/errors.ts';
import { durableLevels } from '../../support/api-peer.ts';
import { plainFields, TestCluster, type TestPeer, testCid } from '../../support/crdt-peers.ts';

// A keyed bulk stream is promised that what is answered as decided is decided, and that it can go on from there.

const call: CallContext = { namespaces: 'all', signal: new AbortController().signal } as unknown as CallContext;
const key = Buffer.alloc(16, 's');

function pin(name: string): BulkWrite {
  const { createdMs: _, type: __, updatedFrom: ___, ...options } = plainFields;
  return { kind: 'pin', cid: testCid(name), namespace: 'default', options, condition: undefined };
}

function pinsOf(peer: TestPeer, { time }: TestCluster) {
  const { consensus, pinset } = peer;
  const init = { replicationMin: -1, replicationMax: -1, follower: false };
  const levels = durableLevels(peer);
  return pins(init, {
    consensus,
    pinset,
    levels,
    placing: { place: () => [], isLeaving: () => true },
    clock: time.clock,
  });
}

t.test('a peer that takes no writes now fails the call: nothing is told as decided', async (t) => {
  const cluster = new TestCluster();
  const a = await cluster.add({ name: 'a' });
  await a.commit(...Array.from({ length: 3 }, (_, i) => ({ ops: [{ kind: 'unpin' as const, key: testCid(i) }] })));
  const b = await cluster.add({ name: 'b', bootstrap: ['/memory/12D3KooWNobody'] });
  t.equal(b.consensus.refusal()?.code, 'JOINING');
  const writes = [pin('one'), { kind: 'invalid' as const, error: new PinfoldError('INVALID_CID', 'no CID') }];
  const bulk = pinsOf(b, cluster);
  await t.rejects(bulk.bulk(writes, { key, first: 1 }, { kind: 'durable' }, call), { code: 'JOINING' });
  const outcomes = await bulk.bulk(writes, undefined, { kind: 'durable' }, call);
  t.match(outcomes, [
    { ok: false, error: { code: 'JOINING' } },
    { ok: false, error: { code: 'INVALID_CID' } },
  ]);
  t.equal(await bulk.bulkDecided(key), 0);
  await cluster.stop();
});

t.test('too many writes that wait: the call fails, what comes behind too, and the stream goes on later', async (t) => {
  const cluster = new TestCluster();
  const a = await cluster.add({ name: 'a', flush: 'manual' });
  const bulk = pinsOf(a, cluster);
  const first = await cluster.pumped(a, bulk.bulk([pin('1'), pin('2')], { key, first: 1 }, { kind: 'durable' }, call));
  t.ok(first.every(({ ok }) => ok));
  const waiting = Array.from({ length: 10 }, () =>
    a.commit(...Array.from({ length: 10_000 }, () => ({ ops: [{ kind: 'unpin' as const, key: testCid('none') }] }))),
  );
  await t.rejects(bulk.bulk([pin('3')], { key, first: 3 }, { kind: 'durable' }, call), { code: 'LIMIT_REACHED' });
  await cluster.pumped(a, Promise.all(waiting));
  await t.rejects(cluster.pumped(a, bulk.bulk([pin('4')], { key, first: 4 }, { kind: 'durable' }, call)), {
    code: 'STREAM_GAP',
  });
  t.equal(await cluster.pumped(a, bulk.bulkDecided(key)), 2);
  const resumed = await cluster.pumped(
    a,
    bulk.bulk([pin('3'), pin('4')], { key, first: 3 }, { kind: 'durable' }, call),
  );
  t.ok(resumed.every(({ ok }) => ok));
  t.equal(a.pinset.count(), 4);
  await cluster.stop();
});

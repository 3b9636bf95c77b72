import { create, toBinary } from '@bufbuild/protobuf';
import t from 'tap';
import {
  RecordsMessageSchema,
  type SignedMetrics,
  type SignedPeerRecord,
} from '../../../gen/pinfold/peer/v1/record_pb.ts';
import { MEMBERS_MAX, METRICS_BURST, RECORDS_BURST } from '../../../src/monitor/constants.ts';
import type { MonitorChange } from '../../../src/monitor/monitor.ts';
import { Readings } from '../../../src/monitor/readings.ts';
import { type OpenedRecord, openRecord, recordOf, signMetrics, signRecord } from '../../../src/monitor/records.ts';
import { ed25519Signer } from '../../../src/runtime/ed25519.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { TTL_MS, type WorldPeer, world } from './world.ts';

const content = {
  name: 'x',
  addresses: ['/ip4/1.2.3.4/tcp/1'],
  follower: false,
  level: 1,
  trustHash: new Uint8Array(),
  ipfs: undefined,
  software: 's',
  draining: false,
};
const day = 24 * 3_600_000;

function message(value: SignedPeerRecord): Uint8Array {
  return toBinary(RecordsMessageSchema, create(RecordsMessageSchema, { message: { case: 'record', value } }));
}

function metricsMessage(value: SignedMetrics): Uint8Array {
  return toBinary(RecordsMessageSchema, create(RecordsMessageSchema, { message: { case: 'metrics', value } }));
}

function ownRecord(peer: WorldPeer): OpenedRecord {
  const own = peer.monitor
    .forHello()
    .records.map(openRecord)
    .find((record) => record?.peerId === peer.signer.peerId);
  if (own === undefined) throw new Error('it has no record');
  return own;
}

function stranger(number: number) {
  const seed = new Uint8Array(32);
  seed.set([number & 255, number >> 8, 1]);
  return ed25519Signer(seed);
}

t.test('five peers on a lossy bus come to know each other, addresses, nodes and metrics included', async (t) => {
  const { time, options, peers, peer } = world(3);
  options.loss = 0.3;
  for (let i = 1; i <= 5; i++) await peer(i).monitor.start();
  await time.advance(12 * 60_000);
  for (const { monitor, signer, remembered } of peers) {
    const members = monitor.members();
    t.equal(members[0]?.peerId, signer.peerId, 'self first');
    t.same(members.map((m) => m.name).sort(), ['peer-1', 'peer-2', 'peer-3', 'peer-4', 'peer-5']);
    t.ok(members.every((m) => m.ipfs?.agent === 'test/1' && m.addresses[0]?.endsWith(`/p2p/${m.peerId}`)));
    t.equal(remembered.size, 4);
  }
  options.loss = 0;
  await time.advance(TTL_MS);
  for (const { monitor } of peers) {
    t.ok(monitor.members().every((m) => m.health === 'up' && m.metrics.every((metric) => metric.valid)));
    t.same(
      monitor
        .metric('freespace')
        .map((m) => m.value)
        .sort(),
      [100, 200, 300, 400, 500],
    );
  }
  await Promise.all(peers.map((p) => p.monitor.stop()));
  t.equal(time.pending(), 0, 'no timer is left');
});

t.test('forged, malformed and foreign words are rejected; stale ones are ignored', async (t) => {
  const { time, peer } = world();
  const judge = peer(1);
  await judge.monitor.start();
  const author = stranger(7);
  const good = signRecord(author, recordOf(author.peerId, 1000, content));
  const forged = signRecord(stranger(8), recordOf(author.peerId, 2000, content));
  const altered = {
    ...good,
    record: Uint8Array.from(good.record, (byte, i) => (i === good.record.length - 1 ? byte ^ 1 : byte)),
  };
  t.equal(judge.deliver(message(forged), 'x'), 'reject');
  t.equal(judge.deliver(message(altered), 'x'), 'reject');
  t.equal(judge.deliver(Buffer.from('nonsense'), 'x'), 'reject');
  t.equal(judge.deliver(new Uint8Array(40_000), 'x'), 'reject');
  t.equal(judge.deliver(new Uint8Array(), 'x'), 'ignore', 'a kind that is not known');
  t.notOk(judge.monitor.isMember(author.peerId));
  t.equal(judge.deliver(message(good), 'x'), 'accept');
  t.equal(judge.deliver(message(good), 'x'), 'ignore');
  t.equal(
    judge.deliver(message(signRecord(author, recordOf(author.peerId, 999, { ...content, name: 'old' }))), 'x'),
    'ignore',
  );
  t.equal(
    judge.deliver(message(signRecord(author, recordOf(author.peerId, 1001, { ...content, name: 'new' }))), 'x'),
    'accept',
  );
  t.equal(judge.monitor.member(author.peerId)?.name, 'new');
  const tooLong = recordOf(author.peerId, 1002, { ...content, name: 'n'.repeat(300) });
  t.equal(judge.deliver(message(signRecord(author, tooLong)), 'x'), 'reject');
  const values = new Map([['freespace', 5]]);
  t.equal(judge.deliver(metricsMessage(signMetrics(author, 5, TTL_MS, values)), 'x'), 'accept');
  t.equal(judge.deliver(metricsMessage(signMetrics(author, 4, TTL_MS, values)), 'x'), 'ignore');
  t.equal(
    judge.deliver(metricsMessage({ ...signMetrics(author, 6, TTL_MS, values), signature: good.signature }), 'x'),
    'reject',
  );
  t.equal(judge.deliver(metricsMessage(signMetrics(stranger(9), 6, TTL_MS, values)), 'x'), 'ignore', 'no member');
  await time.advance(0);
  await judge.monitor.stop();
});

t.test('who is not heard is suspect, then down with an alert, and up again when heard', async (t) => {
  const { time, peer, cutOff } = world();
  const [a, b] = [peer(1), peer(2)];
  await a.monitor.start();
  await b.monitor.start();
  await time.advance(TTL_MS);
  const id = b.signer.peerId;
  const seen: string[] = [];
  a.monitor.onChange((change: MonitorChange) => {
    if (change.kind === 'health') seen.push(change.health);
    if (change.kind === 'alert') seen.push(`${change.alert.kind} ${change.raised}`);
  });
  t.equal(a.monitor.member(id)?.health, 'up');
  cutOff.add(id);
  await time.advance(TTL_MS + 3_000);
  t.equal(a.monitor.member(id)?.health, 'suspect');
  t.same(a.monitor.alerts(), []);
  t.same(
    a.monitor.metric('freespace').map((m) => m.value),
    [100],
    'its metrics have run out',
  );
  await time.advance(TTL_MS);
  t.equal(a.monitor.member(id)?.health, 'down');
  t.match(a.monitor.alerts(), [{ kind: 'PEER_DOWN', peerId: id, message: /peer-2 has not been heard for 6\d s/ }]);
  t.ok(a.monitor.isMember(id), 'stays listed');
  cutOff.delete(id);
  await time.advance(TTL_MS);
  t.equal(a.monitor.member(id)?.health, 'up');
  t.same(a.monitor.alerts(), []);
  t.same(seen, ['suspect', 'down', 'PEER_DOWN true', 'up', 'PEER_DOWN false']);
  await Promise.all([a.monitor.stop(), b.monitor.stop()]);
});

t.test('a restart keeps the members and the version rises, though the clock went back', async (t) => {
  const { time, peer, subscribers } = world();
  const [a, b] = [peer(1), peer(2)];
  await a.monitor.start();
  await b.monitor.start();
  await time.advance(TTL_MS);
  const before = ownRecord(a).version;
  await a.monitor.stop();
  subscribers.delete(a.signer.peerId);
  time.jump(-day);
  const again = peer(1, a.storage.control.crash());
  t.ok(again.monitor.isMember(b.signer.peerId), 'known before start');
  t.equal(again.monitor.member(b.signer.peerId)?.health, 'suspect');
  again.addresses[0] = '/ip4/127.0.0.1/tcp/1234';
  await again.monitor.start();
  const after = ownRecord(again).version;
  t.ok(after > before);
  await time.advance(TTL_MS);
  t.equal(again.monitor.member(b.signer.peerId)?.health, 'up');
  t.match(b.monitor.member(a.signer.peerId)?.addresses, [/1234/], 'the new record won');
  t.ok(
    b.monitor.member(a.signer.peerId)?.metrics.every((m) => m.valid),
    'metrics of the new run count',
  );
  await Promise.all([again.monitor.stop(), b.monitor.stop()]);
});

t.test('an unchanged record keeps its version over a restart', async (t) => {
  const { time, peer } = world();
  const a = peer(1);
  await a.monitor.start();
  await time.advance(TTL_MS);
  const before = ownRecord(a);
  await a.monitor.stop();
  const again = peer(1, a.storage.control.crash());
  await again.monitor.start();
  t.equal(ownRecord(again).version, before.version);
  t.same(Buffer.from(ownRecord(again).signed.signature), Buffer.from(before.signed.signature));
  t.equal(again.monitor.member(again.signer.peerId)?.health, 'up', 'and the peer is up in its own eyes');
  await again.monitor.stop();
});

t.test('a peer that lost its store speaks above what others remember of it', async (t) => {
  const { time, peer } = world();
  const a = peer(1);
  await a.monitor.start();
  const version = time.clock.nowMs() + 5 * day;
  const old = signRecord(a.signer, recordOf(a.signer.peerId, version, content));
  a.monitor.receive([old], [], 'x');
  await time.advance(100);
  const own = ownRecord(a);
  t.equal(own.version, version + 1);
  t.equal(own.record.name, 'peer-1');
  await a.monitor.stop();
});

t.test('that a peer is to be emptied reaches the others, and outlives a restart', async (t) => {
  const { time, peer } = world();
  const [a, b] = [peer(1), peer(2)];
  await a.monitor.start();
  await b.monitor.start();
  await time.advance(TTL_MS);
  const seenByB = () => b.monitor.member(a.signer.peerId)?.draining;
  t.equal(seenByB(), false);
  await a.monitor.setDraining(true);
  await time.advance(1_000);
  t.equal(seenByB(), true);
  await a.monitor.stop();
  const again = peer(1, a.storage.control.crash());
  await again.monitor.start();
  t.equal(again.monitor.member(again.signer.peerId)?.draining, true);
  await again.monitor.setDraining(false);
  await time.advance(1_000);
  t.equal(seenByB(), false);
  await Promise.all([again.monitor.stop(), b.monitor.stop()]);
});

t.test('neither a jump of the wall clock nor a pause of the process takes members for dead', async (t) => {
  const { time, peer } = world();
  const [a, b] = [peer(1), peer(2)];
  await a.monitor.start();
  await b.monitor.start();
  await time.advance(TTL_MS);
  const id = b.signer.peerId;
  time.jump(400 * day);
  await time.advance(5_000);
  t.equal(a.monitor.member(id)?.health, 'up');
  time.jump(-800 * day);
  await time.advance(60_000);
  t.equal(a.monitor.member(id)?.health, 'up');
  const down: MonitorChange[] = [];
  a.monitor.onChange((change) => {
    if (change.kind === 'health') down.push(change);
  });
  time.pause(10 * 60_000);
  await time.advance(10_000);
  t.same(down, [], 'silence that it slept through does not count');
  await Promise.all([a.monitor.stop(), b.monitor.stop()]);
});

t.test('members not heard for 30 days go, and are not brought back by who still remembers them', async (t) => {
  const { time, peer } = world();
  const a = peer(1);
  await a.monitor.start();
  const gone = stranger(1);
  const record = signRecord(gone, recordOf(gone.peerId, time.clock.nowMs(), content));
  t.equal(a.deliver(message(record), 'x'), 'accept');
  await time.advance(70_000);
  await a.monitor.stop();
  time.pause(29 * day);
  const later = peer(1, a.storage.control.crash());
  await later.monitor.start();
  await time.advance(2 * 3_600_000);
  t.ok(later.monitor.isMember(gone.peerId));
  await later.monitor.stop();
  time.pause(day);
  const last = peer(1, later.storage.control.crash());
  await last.monitor.start();
  await time.advance(30 * 60_000);
  t.ok(last.monitor.isMember(gone.peerId), 'not in the first hour: the clock may be wrong');
  await time.advance(60 * 60_000);
  t.notOk(last.monitor.isMember(gone.peerId));
  t.same(last.monitor.alerts(), []);
  last.monitor.receive([record], [], 'x');
  t.notOk(last.monitor.isMember(gone.peerId), 'too old a word, from others');
  t.equal(last.deliver(message(signRecord(gone, recordOf(gone.peerId, time.clock.nowMs(), content))), 'x'), 'accept');
  t.ok(last.monitor.isMember(gone.peerId), 'itself it may come back');
  await last.monitor.stop();
  const reopened = peer(1, last.storage.control.crash());
  t.equal(reopened.monitor.members().length, 2);
});

t.test('a member that is gone is not kept for ever by a word signed far in the future', async (t) => {
  const { time, peer } = world();
  const a = peer(1);
  await a.monitor.start();
  const ahead = stranger(1);
  const record = signRecord(ahead, recordOf(ahead.peerId, time.clock.nowMs() + 5_000 * day, content));
  a.monitor.receive([record], [], 'x');
  t.notOk(a.monitor.isMember(ahead.peerId), 'from others it is no news');
  a.monitor.receive([record], [], ahead.peerId);
  t.ok(a.monitor.isMember(ahead.peerId), 'itself it may come, whatever its clock says');
  await time.advance(70_000);
  await a.monitor.stop();
  time.pause(31 * day);
  const later = peer(1, a.storage.control.crash());
  await later.monitor.start();
  await time.advance(2 * 3_600_000);
  t.notOk(later.monitor.isMember(ahead.peerId), 'silent for 30 days');
  later.monitor.receive([record], [], 'x');
  t.notOk(later.monitor.isMember(ahead.peerId), 'who still remembers it does not bring it back');
  await later.monitor.stop();
});

t.test('a mad peer is bounded: members, records, metrics and verifications', async (t) => {
  const { time, peer } = world();
  const a = peer(1);
  await a.monitor.start();
  const mad = stranger(1);
  let accepted = 0;
  for (let i = 1; i <= 100; i++) {
    const record = signRecord(mad, recordOf(mad.peerId, 1000 + i, { ...content, name: `n${i}` }));
    if (a.deliver(message(record), 'x') === 'accept') accepted++;
  }
  t.equal(accepted, 1 + RECORDS_BURST, 'the first, and what the allowance gives');
  accepted = 0;
  for (let i = 1; i <= 100; i++) {
    if (a.deliver(metricsMessage(signMetrics(mad, i, TTL_MS, new Map())), 'x') === 'accept') accepted++;
  }
  t.equal(accepted, METRICS_BURST);
  const ids = Array.from({ length: MEMBERS_MAX + 50 }, (_, i) => stranger(i + 10));
  for (const signer of ids)
    a.deliver(message(signRecord(signer, recordOf(signer.peerId, 1000, content))), signer.peerId);
  t.equal(a.monitor.members().length, MEMBERS_MAX);
  t.ok(a.monitor.isMember(a.signer.peerId));
  const forged = signRecord(mad, recordOf((ids[0] as { peerId: string }).peerId, 5000, content));
  const verdicts = new Set<string>();
  for (let i = 0; i < 9000; i++) verdicts.add(a.deliver(message(forged), 'flooder'));
  t.same([...verdicts], ['reject', 'ignore'], 'beyond the allowance it is not even verified');
  await time.advance(0);
  await a.monitor.stop();
});

t.test('what is given away with a Hello is bounded, has this peer in it, and covers all members in turn', async (t) => {
  const { time, peer } = world();
  const a = peer(1);
  await a.monitor.start();
  const addresses = Array.from({ length: 12 }, (_, i) => `/dns4/${'x'.repeat(200)}${i}/tcp/1`);
  for (let i = 0; i < 2_000; i++) {
    const signer = stranger(i + 10);
    a.deliver(message(signRecord(signer, recordOf(signer.peerId, 1000, { ...content, addresses }))), signer.peerId);
  }
  t.equal(a.monitor.members().length, 2_001);
  const seen = new Set<string>();
  for (let i = 0; i < 40; i++) {
    const { records } = a.monitor.forHello();
    t.ok(records.reduce((sum, { record, signature }) => sum + record.length + signature.length, 0) < 3.2 * 1024 ** 2);
    t.equal(openRecord(records[0] as SignedPeerRecord)?.peerId, a.signer.peerId);
    for (const record of records) seen.add(openRecord(record)?.peerId ?? '');
  }
  t.equal(seen.size, 2_001);
  await time.advance(0);
  await a.monitor.stop();
});

t.test('what a Hello brings is taken in, and counts as heard only for who sent it', async (t) => {
  const { time, peer, cutOff } = world();
  const [a, b] = [peer(1), peer(2)];
  cutOff.add(a.signer.peerId);
  await a.monitor.start();
  await b.monitor.start();
  const third = stranger(3);
  b.deliver(message(signRecord(third, recordOf(third.peerId, time.clock.nowMs(), content))), 'x');
  await time.advance(1_000);
  const { records, metrics } = b.monitor.forHello();
  a.monitor.receive(records, metrics, b.signer.peerId);
  t.equal(a.monitor.member(b.signer.peerId)?.health, 'up');
  t.equal(a.monitor.member(third.peerId)?.health, 'suspect');
  t.same(
    a.monitor
      .metric('freespace')
      .map((m) => m.value)
      .sort(),
    [100, 200],
  );
  await Promise.all([a.monitor.stop(), b.monitor.stop()]);
});

t.test(
  'informers that fail or hang leave their last reading until it is too old, and delay nobody for long',
  async (t) => {
    const { time, peer } = world();
    const a = peer(1);
    let mode = 'fine' as 'fine' | 'fail' | 'hang';
    a.informers.push({
      name: 'moody',
      ttlMs: TTL_MS,
      read: async () => {
        if (mode === 'fail') throw new Error('no');
        if (mode === 'hang') await new Promise(() => {});
        return 'value';
      },
    });
    const readings = new Readings(a.informers, {
      clock: time.clock,
      timers: time.timers,
      logger: silentLogger,
      metrics: { informerFailures: { add() {} } },
    });
    const { signal } = new AbortController();
    t.same(Object.fromEntries(await readings.collect(signal)), { freespace: 100, moody: 'value' });
    mode = 'fail';
    await time.advance(TTL_MS / 2);
    t.same(Object.fromEntries(await readings.collect(signal)), { freespace: 100, moody: 'value' });
    mode = 'hang';
    let done = false;
    const collecting = readings.collect(signal).then((values) => {
      done = true;
      return values;
    });
    await time.advance(4_900);
    t.notOk(done);
    await time.advance(200);
    t.same(Object.fromEntries(await collecting), { freespace: 100, moody: 'value' });
    await time.advance(TTL_MS);
    t.same(
      Object.fromEntries(await readings.collect(signal)),
      { freespace: 100 },
      'the one that hangs is not asked twice',
    );
  },
);

t.test('alerts: raised again they only change their message; listeners that throw harm nobody', async (t) => {
  const { time, peer } = world();
  const a = peer(1);
  const seen: string[] = [];
  a.monitor.onChange(() => {
    throw new Error('a bad listener');
  });
  const stop = a.monitor.onChange((change) => {
    if (change.kind === 'alert') seen.push(`${change.alert.message} ${change.raised}`);
  });
  a.monitor.raise({ kind: 'K', peerId: 'p', message: 'one' });
  const [first] = a.monitor.alerts();
  await time.advance(1_000);
  a.monitor.raise({ kind: 'K', peerId: 'p', message: 'one' });
  a.monitor.raise({ kind: 'K', peerId: 'p', message: 'two' });
  t.match(a.monitor.alerts(), [{ message: 'two', sinceMs: first?.sinceMs }]);
  a.monitor.clear('K', 'p');
  a.monitor.clear('K', 'p');
  t.same(a.monitor.alerts(), []);
  t.same(seen, ['one true', 'two true', 'two false']);
  stop();
  a.monitor.raise({ kind: 'K', peerId: 'p', message: 'three' });
  t.equal(seen.length, 3);
});

t.test('a damaged row is left out at the start', async (t) => {
  const { time, peer } = world();
  const a = peer(1);
  await a.monitor.start();
  const b = stranger(2);
  const record = signRecord(b, recordOf(b.peerId, time.clock.nowMs(), content));
  a.deliver(message(record), 'x');
  await time.advance(1_000);
  await a.monitor.stop();
  const storage = a.storage.control.crash();
  for (const { key, value } of [...storage.read.range('members')]) {
    value[40] = (value[40] as number) ^ 1;
    storage.transaction((tx) => tx.put('members', key, value));
  }
  await storage.flushed();
  const again = peer(1, storage);
  t.same(again.monitor.members(), []);
  await again.monitor.start();
  t.same(
    again.monitor.members().map((m) => m.name),
    ['peer-1'],
    'its own it makes anew',
  );
  await again.monitor.stop();
});

import t from 'tap';
import type { Outcome, Request } from '../../../src/consensus/consensus.ts';
import { OWN_BATCH_REQUESTS_MAX } from '../../../src/consensus/crdt/constants.ts';
import { idempotencyAgeTable, idempotencyTable, logTable } from '../../../src/consensus/crdt/tables.ts';
import { encodePinRow } from '../../../src/pinset/codec/pin-row.ts';
import { tableSets } from '../../../src/pinset/tables.ts';
import { usedUp } from '../../support/crafted-author.ts';
import { pinOp, plainFields, TestCluster, testKey, unpinOp } from '../../support/crdt-peers.ts';

function codes(outcomes: readonly Outcome[]): string[] {
  return outcomes.map((outcome) => (outcome.ok ? 'ok' : outcome.error.code));
}

const hourMs = 3_600_000;

/** Requests of one bulk stream, each pinning its number. */
function numbered(stream: string, from: number, to: number): Request[] {
  const key = Buffer.alloc(16, stream);
  return Array.from({ length: to - from + 1 }, (_, i) => ({
    ops: [pinOp(`${stream} ${from + i}`, { name: `${from + i}` })],
    stream: { key, number: from + i },
  }));
}

t.test('a stream is remembered for a day after its last batch, not after its first', async (t) => {
  const cluster = new TestCluster();
  const a = await cluster.add({ name: 'a' });
  for (let batch = 0; batch < 6; batch++) {
    t.same(codes(await a.commit(...numbered('s', batch * 2 + 1, batch * 2 + 2))), ['ok', 'ok']);
    await cluster.time.advance(10 * hourMs);
  }
  t.equal(await a.consensus.streamDecided(Buffer.alloc(16, 's')), 12);
  await cluster.time.advance(15 * hourMs);
  t.equal(await a.consensus.streamDecided(Buffer.alloc(16, 's')), 0);
  t.same([...a.storage.read.range(idempotencyAgeTable)], [], 'nothing of it is left');
  await cluster.stop();
});

t.test('above the limit the oldest are forgotten, streams too', async (t) => {
  const cluster = new TestCluster();
  const a = await cluster.add({ name: 'a', crdt: { idempotencyRowsMax: 1_000 } });
  const stream = (i: number, number = 1): Request => ({
    ops: [pinOp(`${i} ${number}`)],
    stream: { key: Buffer.from(String(i).padStart(16, '0')), number },
  });
  for (let i = 0; i < 1_100; i += 100) {
    await a.commit(...Array.from({ length: 100 }, (_, n) => stream(i + n)));
    await cluster.time.advance(1_000);
  }
  await a.commit(stream(0, 2));
  await cluster.time.advance(180_000);
  t.equal(a.storage.tableSize(idempotencyTable).entries, 1_000);
  t.equal(a.storage.tableSize(idempotencyAgeTable).entries, 1_000);
  t.equal(await a.consensus.streamDecided(Buffer.from('0'.repeat(16))), 2, 'it went on: it is not among the oldest');
  t.equal(await a.consensus.streamDecided(Buffer.from('1'.padStart(16, '0'))), 0);
  await cluster.stop();
});

t.test('a namespace that gets no number refuses its own requests, and no others of the batch', async (t) => {
  const cluster = new TestCluster();
  const a = await cluster.add({ name: 'a' });
  usedUp(a.pinset.names.namespaces);
  const further: Request = {
    ops: [{ kind: 'pin', key: testKey('f', 'further'), fields: plainFields, allocations: [] }],
  };
  const [before, refused, behind] = await Promise.all([
    a.commit({ ops: [pinOp(1)] }),
    a.commit({ ops: [pinOp(2)] }, further, { ops: [pinOp(3)] }),
    a.commit({ ops: [pinOp(4)] }),
  ]);
  t.same([codes(before), codes(refused), codes(behind)], [['ok'], ['ok', 'LIMIT_REACHED', 'ok'], ['ok']]);
  await cluster.stop();
});

t.test('a pipelined stream whose middle was given up: what comes behind the gap is refused, never done', async (t) => {
  const cluster = new TestCluster();
  const a = await cluster.add({ name: 'a', flush: 'manual' });
  const middle = new AbortController();
  const never = new AbortController().signal;
  // The first fills a batch, so the others wait for their turn.
  const one = a.consensus.commit(numbered('s', 1, 5_000), { signal: never });
  await Promise.resolve();
  const two = a.consensus.commit(numbered('s', 5_001, 5_100), { signal: middle.signal });
  const three = a.consensus.commit(numbered('s', 5_101, 5_200), { signal: never });
  middle.abort(new Error('cut off'));
  await t.rejects(two, { message: 'cut off' });
  const results = await cluster.pumped(a, Promise.all([one, three]));
  t.ok(results[0].every(({ ok }) => ok));
  t.ok(results[1].every((outcome) => !outcome.ok && outcome.error.code === 'STREAM_GAP'));
  t.equal(await cluster.pumped(a, a.consensus.streamDecided(Buffer.alloc(16, 's'))), 5_000);
  t.same(codes(await cluster.pumped(a, a.commit(...numbered('s', 5_001, 5_003)))), ['ok', 'ok', 'ok']);
  t.equal(a.pinset.count(), 5_003);
  await cluster.stop();
});

t.test('resumed while what the old connection sent is still queued: each number is decided once', async (t) => {
  const cluster = new TestCluster();
  const a = await cluster.add({ name: 'a', flush: 'manual' });
  const old = a.commit(...numbered('s', 1, 3_000));
  const decided = a.consensus.streamDecided(Buffer.alloc(16, 's'));
  const again = a.commit(...numbered('s', 1, 3_001));
  t.equal(await cluster.pumped(a, decided), 0);
  const [first, second] = await cluster.pumped(a, Promise.all([old, again]));
  t.ok([...first, ...second].every(({ ok }) => ok));
  t.equal(a.pinset.count(), 3_001);
  const sequences = [...a.storage.read.range(logTable)].map(({ key }) => Buffer.from(key).readUInt32BE(8));
  t.equal(sequences.at(-1), 3_001, 'not one operation more');
  await cluster.stop();
});

t.test(
  'several flushes under way and the disk fails: nobody is told of success, and what was flushed is whole',
  async (t) => {
    for (const flushedBefore of [0, 1]) {
      const cluster = new TestCluster();
      const a = await cluster.add({ name: 'a', flush: 'manual' });
      await cluster.pumped(a, a.one(pinOp('x', { name: 'old' })));
      const first = a.commit(...numbered('s', 1, 5_000), { ops: [unpinOp('x')] });
      await Promise.resolve();
      const second = a.commit(...numbered('s', 5_001, 8_000));
      const settled = Promise.allSettled([first, second]);
      await cluster.time.advance(0);
      a.storage.control.commit();
      if (flushedBefore > 0) a.storage.control.flush(flushedBefore);
      a.storage.control.failNextFlush();
      a.storage.control.flush();
      for (const outcome of await settled) t.match(outcome, { status: 'rejected', reason: { code: 'STORAGE_FAILED' } });
      await t.rejects(a.one(pinOp('y')), { code: 'STORAGE_FAILED' });
      await a.crash();
      await cluster.pumped(a, a.start());
      const decided = await cluster.pumped(a, a.consensus.streamDecided(Buffer.alloc(16, 's')));
      const isLeft = a.pinset.get(testKey('x')) !== undefined;
      t.equal(decided, flushedBefore * OWN_BATCH_REQUESTS_MAX);
      t.equal(a.pinset.count(), decided + Number(isLeft), 'what is decided is there');
      t.equal((await cluster.pumped(a, a.one(pinOp('y')))).ok, true);
      await cluster.stop();
    }
  },
);

t.test('a damaged row refuses what is written to it, and no other request of the batch', async (t) => {
  const cluster = new TestCluster();
  const [a, b] = [await cluster.add({ name: 'a' }), await cluster.add({ name: 'b' })];
  await cluster.until(() => [a, b].every(({ consensus }) => consensus.status().phase === 'ready'), 'ready');
  await a.commit(
    { ops: [pinOp(1)] },
    { ops: [pinOp(2)] },
    { ops: [pinOp(3)] },
    { ops: [pinOp(5)] },
    { ops: [pinOp(6)] },
  );
  const row = (number: number) => a.storage.transaction((tx) => a.pinset.row(tx, testKey(number))).value;
  const damagedValue = row(2).map((dot) => ({ ...dot, value: Buffer.of(0xff) }));
  // Whoever took in an operation that sees it would take nothing more of its author (R6).
  const beyondClock = row(3).map((dot) => ({ ...dot, sequence: dot.sequence + 64 }));
  // Nobody else would read them.
  const withoutSequence = row(5).map((dot) => ({ ...dot, sequence: 0 }));
  const withoutStamp = row(6).map((dot) => ({ ...dot, stamp: 0 }));
  await a.storage.transaction((tx) => {
    tx.put(tableSets.a.pins, testKey(5), encodePinRow(withoutSequence));
    tx.put(tableSets.a.pins, testKey(6), encodePinRow(withoutStamp));
    tx.put(tableSets.a.pins, testKey(1), Buffer.of(0xff));
    tx.put(tableSets.a.pins, testKey(2), encodePinRow(damagedValue));
    tx.put(tableSets.a.pins, testKey(3), encodePinRow(beyondClock));
  }).flushed;
  const requests = [pinOp(1), unpinOp(2), pinOp(4), unpinOp(3), unpinOp(5), pinOp(6)].map((op) => ({ ops: [op] }));
  const damaged = 'DATA_CORRUPT';
  t.same(codes(await a.commit(...requests)), [damaged, damaged, 'ok', damaged, damaged, damaged]);
  await cluster.until(() => b.pinset.get(testKey(4)) !== undefined, 'the other has what was written');
  await cluster.stop();
});

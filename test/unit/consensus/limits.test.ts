import t from 'tap';
import { Alerts } from '../../../src/consensus/crdt/alerts.ts';
import { decodeSignedBatch, openBatch } from '../../../src/consensus/crdt/codec/signed-batch.ts';
import { ALERTS_MAX, PEER_PROCESSES_MAX, PEER_VIEWS_MAX } from '../../../src/consensus/crdt/constants.ts';
import { Pending } from '../../../src/consensus/crdt/core/pending.ts';
import type { Batch } from '../../../src/consensus/crdt/core/types.ts';
import { PeerViews } from '../../../src/consensus/crdt/peer-views.ts';
import { Replicas } from '../../../src/consensus/crdt/state/replicas.ts';
import { News } from '../../../src/consensus/crdt/sync/news.ts';
import { Stall } from '../../../src/consensus/crdt/sync/stall.ts';
import { StoredNames } from '../../../src/pinset/names.ts';
import { pinsetTables } from '../../../src/pinset/tables.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { memoryStorage } from '../../../src/storage/memory/memory-storage.ts';
import { CraftedAuthor } from '../../support/crafted-author.ts';
import { virtualTime } from '../../support/virtual-time.ts';

// What a trusted peer that has lost its mind could make grow, or take from others.

const limits = {
  pendingBytesMax: 64_000,
  pendingAuthorBytesMax: 32_000,
  pendingBatchesMax: 40,
  pendingTimeoutMs: 10_000,
};
const nobody = { rid: new Uint8Array(16).fill(1), sequence: 9 };

function waiting(author: CraftedAuthor, bytes: number): Batch {
  return openBatch(decodeSignedBatch(author.batch([{ name: 'x'.repeat(bytes) }], { inc: [nobody] })));
}

t.test(
  'an author with a replica for each batch has one share: it drives out its own, not those of others',
  async (t) => {
    const pending = new Pending(limits);
    const honest = new CraftedAuthor('honest');
    for (let i = 0; i < 10; i++) pending.add(waiting(honest, 500), 'x', 0);
    let dropped = 0;
    for (let i = 0; i < 400; i++) dropped += pending.add(waiting(new CraftedAuthor('mad', i), 900), 'x', 0);
    t.ok(pending.count <= limits.pendingBatchesMax && pending.bytes <= limits.pendingBytesMax);
    t.ok(dropped >= 360);
    const clock = { taken: () => ({ sequence: 99, hash: new Uint8Array(0), frozen: '' }), covers: () => true };
    const left = pending
      .takeReady(clock)
      .filter(({ batch }) => batch.ridText === Buffer.from(honest.rid).toString('latin1'));
    t.equal(left.length, 10, 'all of the honest one are there');
    t.equal(pending.count, 0);
    t.equal(pending.bytes, 0);
  },
);

t.test('many small batches do not drive out few large ones', async (t) => {
  const pending = new Pending({ ...limits, pendingAuthorBytesMax: 64_000 });
  const large = new CraftedAuthor('large');
  for (let i = 0; i < 20; i++) pending.add(waiting(large, 900), 'x', 0);
  for (let i = 0; i < 100; i++) pending.add(waiting(new CraftedAuthor('small', i), 1), 'x', 0);
  const covered = pending.takeReady({
    taken: () => ({ sequence: 99, hash: new Uint8Array(0), frozen: '' }),
    covers: () => true,
  });
  t.equal(covered.filter(({ batch }) => batch.ridText === Buffer.from(large.rid).toString('latin1')).length, 20);
});

t.test('alerts, and what is known of peers, have an end', async (t) => {
  const { clock } = virtualTime();
  const alerts = new Alerts(clock, silentLogger);
  for (let i = 0; i < ALERTS_MAX + 50; i++) alerts.raise('FORK', `peer ${i}`, 'two histories');
  t.equal(alerts.all().length, ALERTS_MAX);
  alerts.raise('FORK', 'peer 3', 'again');
  t.equal(alerts.all().find(({ peerId }) => peerId === 'peer 3')?.message, 'again');
  const views = new PeerViews();
  const view = { ridText: 'r', isEmpty: false, isFollower: false, level: 1, offsetMs: 0 };
  for (let i = 0; i < PEER_VIEWS_MAX + 50; i++) views.heard({ ...view, peerId: `peer ${i}`, boot: 'b', heardMs: i });
  t.equal(views.size, PEER_VIEWS_MAX);
  t.equal(views.get('peer 3'), undefined, 'the oldest goes');
  for (let i = 0; i <= PEER_PROCESSES_MAX; i++) views.heard({ ...view, peerId: 'p', boot: `b${i}`, heardMs: 5_000 });
  t.equal(
    views.heard({ ...view, peerId: 'p', boot: 'b0', heardMs: 5_000 }),
    'other',
    'the oldest process is forgotten',
  );
  t.equal(views.heard({ ...view, peerId: 'p', boot: 'b9', heardMs: 5_000 }), 'two');
});

t.test('news that are invented do not keep out what others tell', async (t) => {
  const { clock } = virtualTime();
  const storage = memoryStorage({ tables: pinsetTables, flush: 'auto' });
  const names = new StoredNames(storage);
  const replicas = new Replicas(names);
  const news = new News(replicas, clock);
  for (let i = 0; i < 10_000; i++) {
    const rid = Buffer.alloc(16);
    rid.writeUInt32BE(i);
    news.heard(rid.toString('latin1'), rid, 2 ** 52);
  }
  const rid = Buffer.alloc(16, 0xff);
  news.heard(rid.toString('latin1'), rid, 1);
  t.equal(news.size, 4_096);
  t.ok(news.has(rid.toString('latin1')));
});

t.test('a pull that brings nothing is given up', async (t) => {
  const time = virtualTime();
  const stall = new Stall(time.timers, 1_000, new AbortController().signal);
  for (let i = 0; i < 5; i++) {
    await time.advance(900);
    stall.progressed();
  }
  t.notOk(stall.signal.aborted);
  await time.advance(1_000);
  t.ok(stall.signal.aborted);
  const ended = new Stall(time.timers, 1_000, new AbortController().signal);
  ended.end();
  await time.advance(5_000);
  t.notOk(ended.signal.aborted);
});

import t from 'tap';
import { LogDamaged } from '../../src/consensus/crdt/log/kept-batch.ts';
import { logKey } from '../../src/consensus/crdt/state/keys.ts';
import { logTable } from '../../src/consensus/crdt/tables.ts';
import type { Entry } from '../../src/storage/storage.ts';
import { pinOp, shortLogs, TestCluster, type TestPeer, testKey, unpinOp } from '../support/crdt-peers.ts';

// What a disk does to the log: nobody is sent it, and nobody is blamed for it; who lacks it takes the rows.

const isReady = ({ consensus }: TestPeer) => consensus.status().phase === 'ready';
const alerts = ({ consensus }: TestPeer) => consensus.status().alerts.map(({ kind }) => kind);
const crdt = { ...shortLogs, logAgeMinMs: 3_600_000, logAgeMaxMs: 3_600_000 };

type Harm = (peer: TestPeer, row: Entry) => void;

const flipAt = (place: (value: Uint8Array) => number): Harm => {
  return ({ storage }, { key, value }) => {
    const bytes = Uint8Array.from(value);
    const at = place(bytes);
    bytes[at] = (bytes[at] as number) ^ 0x10;
    storage.control.damage(logTable, key, bytes);
  };
};

const harms: Readonly<Record<string, Harm>> = {
  'a bit of its operations': flipAt((value) => value.length - 3),
  'a bit of its header': flipAt(() => 60),
  'a bit of its first tag': flipAt(() => 0),
  'it is lost': ({ storage }, { key }) => storage.control.damage(logTable, key, undefined),
  'its key has lost a byte': ({ storage }, { key, value }) => {
    storage.control.damage(logTable, key, undefined);
    storage.control.damage(logTable, Buffer.from(key.subarray(0, 11)), value);
  },
  'it stands in another place': ({ storage }, { key, value }) => {
    storage.control.damage(logTable, key, undefined);
    const moved = Buffer.from(key);
    moved[4] = 0x08;
    storage.control.damage(logTable, moved, value);
  },
};

for (const [what, harm] of Object.entries(harms)) {
  t.test(`${what}: who was away meanwhile takes the rows of whoever has the damaged log`, async (t) => {
    const cluster = new TestCluster();
    const peers = [await cluster.add({ name: 'a', crdt }), await cluster.add({ name: 'b', crdt })];
    const [a, b] = peers as [TestPeer, TestPeer];
    await cluster.until(() => peers.every(isReady), 'ready');
    await a.one(pinOp(0));
    await cluster.until(() => b.pinset.count() === 1, 'at b');
    cluster.hub.partition(a.peerId, b.peerId);
    for (let i = 1; i < 6; i++) await a.one(pinOp(i));
    await b.one(unpinOp(0));
    const row = a.storage.read.get(logTable, logKey(0, 3)) as Uint8Array;
    harm(a, { key: logKey(0, 3), value: row });
    cluster.hub.heal(a.peerId, b.peerId);
    await cluster.until(() => a.root() === b.root(), 'equal');
    t.equal(b.pinset.count(), 5);
    t.ok(alerts(a).includes('LOG_DAMAGED'));
    t.notOk(alerts(b).includes('LOG_DAMAGED'));
    t.notOk([...alerts(a), ...alerts(b)].includes('FORK'), 'nobody takes it for another history');
    // What comes later goes the usual way.
    await a.one(pinOp('later'));
    await cluster.until(() => b.pinset.get(testKey('later')) !== undefined, 'it goes on', 5_000);
    await cluster.stop();
  });
}

t.test('a clock that ends in a damaged batch is no other history, and a token is not resumed across one', async (t) => {
  const cluster = new TestCluster();
  const peers = [await cluster.add({ name: 'a', crdt }), await cluster.add({ name: 'b', crdt })];
  const [a, b] = peers as [TestPeer, TestPeer];
  await cluster.until(() => peers.every(isReady), 'ready');
  for (let i = 0; i < 3; i++) await a.one(pinOp(i));
  await cluster.until(() => b.pinset.count() === 3, 'at b');
  const position = b.consensus.flushedPosition(b.pinset.feed.revision) as Uint8Array;
  cluster.hub.partition(a.peerId, b.peerId);
  await a.one(pinOp(3));
  // B's clock ends at 3: of the header at that place only noise is left.
  const row = a.storage.read.get(logTable, logKey(0, 3)) as Uint8Array;
  flipAt(() => 60)(a, { key: logKey(0, 3), value: row });
  t.equal(a.consensus.changedSince(position).length, 1, 'it is not in the way');
  cluster.hub.heal(a.peerId, b.peerId);
  await cluster.until(() => b.pinset.count() === 4, 'it has come');
  t.same(
    [...alerts(a), ...alerts(b)].filter((kind) => kind !== 'LOG_DAMAGED'),
    [],
  );
  const next = a.storage.read.get(logTable, logKey(0, 4)) as Uint8Array;
  flipAt((value) => value.length - 3)(a, { key: logKey(0, 4), value: next });
  t.equal(a.consensus.changedSince(position), 'gone');
  await cluster.stop();
});

t.test('damage says what it is', (t) => {
  const damage = new LogDamaged({ replica: 1, sequence: 2, through: 3 }, 'cut short');
  t.match(damage, { code: 'DATA_CORRUPT', replica: 1, sequence: 2, through: 3, message: /cut short/ });
  t.end();
});

import t from 'tap';
import { ACK_PEERS_MAX } from '../../../src/consensus/crdt/constants.ts';
import { Acks } from '../../../src/consensus/crdt/state/acks.ts';
import { decodeReplicaRow } from '../../../src/consensus/crdt/state/replica-row.ts';
import { acksTable, replicasTable } from '../../../src/consensus/crdt/tables.ts';
import { byteString } from '../../../src/model/bytes.ts';
import { parsePeerId, peerIdOfPublicKey } from '../../../src/model/peer-id.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { memoryStorage } from '../../../src/storage/memory/memory-storage.ts';
import { crdtTestTables, pinOp, TestCluster, testSigner } from '../../support/crdt-peers.ts';

const hourMs = 3_600_000;
const [x, y] = [testSigner('x').peerId, testSigner('y').peerId];
const [r, s] = [Buffer.alloc(16, 'r'), Buffer.alloc(16, 's')];
const [rText, sText] = [byteString(r), byteString(s)];

function made(storage = memoryStorage({ tables: crdtTestTables, flush: 'auto' })) {
  const time = { nowMs: 1_000_000 };
  const clock = { nowMs: () => time.nowMs, monotonicMs: () => time.nowMs };
  return { time, storage, acks: new Acks({ storage, clock, logger: silentLogger }) };
}

t.test('the greatest word of a process counts, whatever comes late', async (t) => {
  const { acks } = made();
  acks.heard(x, [
    { rid: r, sequence: 5 },
    { rid: s, sequence: 7 },
  ]);
  acks.heard(x, [{ rid: r, sequence: 3 }]);
  t.equal(acks.acknowledged(x, rText), 5);
  t.equal(acks.acknowledged(x, sText), 7);
  t.equal(acks.acknowledged(y, rText), 0);
});

t.test('another process of a peer begins anew: its disk may have been put back', async (t) => {
  const { acks } = made();
  acks.met(x, Buffer.from('one'), []);
  acks.heard(x, [{ rid: r, sequence: 5 }]);
  acks.met(x, Buffer.from('one'), []);
  t.equal(acks.acknowledged(x, rText), 5);
  acks.met(x, Buffer.from('two'), []);
  t.equal(acks.acknowledged(x, rText), 0);
  acks.heard(x, [{ rid: r, sequence: 2 }]);
  t.equal(acks.acknowledged(x, rText), 2);
});

t.test('a peer that rebuilds needs the log from what its shadow has, and acknowledges nothing by it', async (t) => {
  const { acks } = made();
  acks.met(x, Buffer.from('one'), [{ rid: r, sequence: 4 }]);
  t.equal(acks.acknowledged(x, rText), 0, 'a shadow acknowledges nothing');
  t.same(
    acks.holders().map(({ peerId }) => peerId),
    [x],
  );
  acks.heard(x, [{ rid: r, sequence: 9 }]);
  t.equal(acks.needsAfter(x, rText), 4);
  t.equal(acks.acknowledged(x, rText), 9);
  acks.met(x, Buffer.from('one'), []);
  t.equal(acks.needsAfter(x, rText), 9);
});

t.test('holders are those heard in the last 24 h, the latest first', async (t) => {
  const { acks, time } = made();
  acks.heard(x, [{ rid: r, sequence: 1 }]);
  time.nowMs += 20 * hourMs;
  acks.heard(y, []);
  t.same(
    acks.holders().map(({ peerId }) => peerId),
    [y, x],
  );
  time.nowMs += 5 * hourMs;
  t.same(acks.holders(), [{ peerId: y, heardMs: time.nowMs - 5 * hourMs }]);
});

t.test('kept over a restart as hints; a damaged row is no hint', async (t) => {
  const { acks, storage, time } = made();
  acks.heard(x, [
    { rid: r, sequence: 5 },
    { rid: s, sequence: 2 ** 40 },
  ]);
  acks.heard(y, [{ rid: r, sequence: 1 }]);
  acks.save();
  await storage.transaction((tx) => {
    tx.put(acksTable, Buffer.alloc(38, 0), Buffer.alloc(3, 1));
    tx.put(acksTable, parsePeerId(testSigner('z').peerId), Buffer.alloc(3, 255));
  }).flushed;
  const again = made(storage).acks;
  again.load();
  t.equal(again.acknowledged(x, sText), 2 ** 40);
  t.equal(again.acknowledged(y, rText), 1);
  t.equal(again.holders(time.nowMs).length, 2);
});

t.test('no more peers than there may be: the one heard longest ago makes room, on the disk too', async (t) => {
  const { acks, storage, time } = made();
  const peer = (i: number) => {
    const key = Buffer.alloc(32);
    key.writeUInt32BE(i);
    return peerIdOfPublicKey(key);
  };
  for (let i = 0; i < ACK_PEERS_MAX; i++) {
    time.nowMs++;
    acks.heard(peer(i), [{ rid: r, sequence: i }]);
  }
  acks.save();
  acks.heard(peer(ACK_PEERS_MAX), [{ rid: r, sequence: 1 }]);
  acks.save();
  await storage.flushed();
  t.equal(acks.holders(time.nowMs).length, ACK_PEERS_MAX);
  t.equal(acks.acknowledged(peer(0), rText), 0);
  t.equal(storage.tableSize(acksTable).entries, ACK_PEERS_MAX);
});

t.test('peers hear of each other what is on their disks, also when nothing differs', async (t) => {
  const cluster = new TestCluster();
  const [a, b] = [await cluster.add({ name: 'a' }), await cluster.add({ name: 'b' })];
  await cluster.until(() => b.consensus.status().phase === 'ready', 'ready');
  await a.one(pinOp(1));
  await cluster.until(() => b.pinset.count() === 1, 'it is there');
  // One round to hear of it, and the next for what is kept once a minute.
  await cluster.time.advance(130_000);
  for (const [peer, other] of [
    [a, b],
    [b, a],
  ] as const) {
    const row = peer.storage.read.get(acksTable, parsePeerId(other.peerId));
    const [own] = [...a.storage.read.range(replicasTable)].map(({ value }) => decodeReplicaRow(value));
    t.ok(row !== undefined && Buffer.from(row).includes(Buffer.from(own?.rid ?? '-')), `what ${other.name} has`);
  }
  await cluster.stop();
});

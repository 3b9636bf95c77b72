import { create, toBinary } from '@bufbuild/protobuf';
import t from 'tap';
import {
  ForgottenSchema,
  RecordsMessageSchema,
  type SignedForgotten,
  SignedForgottenSchema,
} from '../../../gen/pinfold/peer/v1/record_pb.ts';
import { signForgotten } from '../../../src/monitor/forgotten-record.ts';
import { openRecord, recordOf, signRecord } from '../../../src/monitor/records.ts';
import { ed25519Signer } from '../../../src/runtime/ed25519.ts';
import { type WorldPeer, world } from './world.ts';

const hour = 3_600_000;
const day = 24 * hour;

function message(value: SignedForgotten): Uint8Array {
  return toBinary(RecordsMessageSchema, create(RecordsMessageSchema, { message: { case: 'forgotten', value } }));
}

const ids = ({ monitor }: WorldPeer) =>
  monitor
    .members()
    .map(({ peerId }) => peerId)
    .sort();

function ownRecord({ monitor, signer }: WorldPeer) {
  const own = monitor.forHello().records.find((record) => openRecord(record)?.peerId === signer.peerId);
  if (own === undefined) throw new Error('it has no record');
  return own;
}

async function three(init: Parameters<typeof world>[1] = {}) {
  const made = world(1, init);
  const [a, b, c] = [made.peer(1), made.peer(2), made.peer(3)];
  for (const { monitor } of [a, b, c]) await monitor.start();
  await made.time.advance(6 * 60_000);
  return { ...made, a, b, c };
}

async function stopped(...peers: WorldPeer[]) {
  await Promise.all(peers.map(({ monitor }) => monitor.stop()));
}

t.test(
  'a member that is away is removed everywhere, also where the word comes late, and after a restart',
  async (t) => {
    const { time, a, b, c, cutOff, peer } = await three();
    t.equal(ids(a).length, 3);
    await c.monitor.stop();
    cutOff.add(c.signer.peerId);
    cutOff.add(b.signer.peerId);
    await time.advance(10 * 60_000);
    t.equal(a.monitor.member(c.signer.peerId)?.health, 'down', 'it is listed while it is away');
    t.equal(await a.monitor.forget(c.signer.peerId), true);
    t.equal(await a.monitor.forget(c.signer.peerId), false, 'there is nothing left to forget');
    await time.advance(60_000);
    t.notOk(a.monitor.isMember(c.signer.peerId));
    t.notOk(a.monitor.alerts().some(({ kind, peerId }) => kind === 'PEER_DOWN' && peerId === c.signer.peerId));
    t.ok(b.monitor.isMember(c.signer.peerId), 'b was cut off');

    // At Hello: b gives its record of c away, and takes a's word that c is none.
    const { records, metrics, forgotten } = b.monitor.forHello();
    a.monitor.receive(records, metrics, b.signer.peerId, forgotten);
    t.notOk(a.monitor.isMember(c.signer.peerId), 'its last record does not bring it back');
    const given = a.monitor.forHello();
    b.monitor.receive(given.records, given.metrics, a.signer.peerId, given.forgotten);
    t.notOk(b.monitor.isMember(c.signer.peerId));
    t.notOk(b.remembered.has(c.signer.peerId), 'and its addresses are forgotten');

    await b.monitor.stop();
    const again = peer(2, b.storage);
    await again.monitor.start();
    t.same(ids(again), [a, b].map(({ signer }) => signer.peerId).sort());
    again.monitor.receive(records, metrics, a.signer.peerId);
    t.notOk(again.monitor.isMember(c.signer.peerId), 'the word is on the disk');
    await stopped(a, again);
  },
);

t.test('a removed peer that comes back is a member again, at all: a later record revives it', async (t) => {
  const { time, a, b, c, cutOff, peer } = await three();
  await c.monitor.stop();
  cutOff.add(c.signer.peerId);
  await a.monitor.forget(c.signer.peerId);
  await time.advance(1_000);
  t.notOk(b.monitor.isMember(c.signer.peerId));
  cutOff.delete(c.signer.peerId);
  const back = peer(3, c.storage);
  await back.monitor.start();
  await time.advance(1_000);
  t.notOk(b.monitor.isMember(c.signer.peerId), 'what it says is what it said before');
  const { records, metrics, forgotten } = b.monitor.forHello();
  back.monitor.receive(records, metrics, b.signer.peerId, forgotten);
  await time.advance(1_000);
  for (const { monitor } of [a, b, back]) t.equal(monitor.members().length, 3);
  t.same(a.monitor.forHello().forgotten, [], 'and the word about it is gone');
  a.monitor.receive([], [], b.signer.peerId, forgotten);
  t.ok(a.monitor.isMember(c.signer.peerId), 'also when who did not hear brings it again');
  await stopped(a, b, back);
});

t.test('a live peer that is removed hears of it and comes back within a second', async (t) => {
  const { time, a, b, c } = await three();
  await a.monitor.forget(c.signer.peerId);
  t.notOk(a.monitor.isMember(c.signer.peerId));
  await time.advance(1_000);
  t.ok(a.monitor.isMember(c.signer.peerId) && b.monitor.isMember(c.signer.peerId));
  await stopped(a, b, c);
});

t.test('nobody removes itself, or who is no member', async (t) => {
  const { a, b, c } = await three();
  t.equal(await a.monitor.forget(a.signer.peerId), false);
  t.equal(await a.monitor.forget(ed25519Signer(new Uint8Array(32).fill(77)).peerId), false);
  t.equal(a.monitor.members().length, 3);
  await stopped(a, b, c);
});

t.test('forged and malformed words are rejected; nobody forgets what a peer has yet to say', async (t) => {
  const { time, a, b, c } = await three();
  const now = time.clock.nowMs();
  const good = signForgotten(b.signer, ownRecord(c), now);
  const flipped = Uint8Array.from(good.signature);
  flipped[0] = (flipped[0] as number) ^ 1;
  const forged = create(SignedForgottenSchema, { forgotten: good.forgotten, signature: flipped });
  t.equal(a.deliver(message(forged), b.signer.peerId), 'reject');
  const later = recordOf(c.signer.peerId, now + 1_000_000, {
    name: 'c',
    addresses: [],
    follower: false,
    level: 1,
    trustHash: new Uint8Array(),
    ipfs: undefined,
    software: 's',
    draining: false,
  });
  const invented = signForgotten(b.signer, signRecord({ ...b.signer, peerId: c.signer.peerId }, later), now);
  t.equal(a.deliver(message(invented), b.signer.peerId), 'reject', 'a record that the peer never signed');
  t.equal(a.deliver(message(create(SignedForgottenSchema)), b.signer.peerId), 'reject');
  const nothing = toBinary(ForgottenSchema, create(ForgottenSchema, { by: new Uint8Array(3) }));
  t.equal(a.deliver(message(create(SignedForgottenSchema, { forgotten: nothing })), b.signer.peerId), 'reject');
  t.ok(a.monitor.isMember(c.signer.peerId));
  t.equal(a.deliver(message(good), b.signer.peerId), 'accept');
  t.equal(a.deliver(message(good), b.signer.peerId), 'ignore', 'known');
  t.notOk(a.monitor.isMember(c.signer.peerId));
  await stopped(a, b, c);
});

t.test('T1, T2: the word of who is not trusted removes nobody, unless a trusted peer brings it', async (t) => {
  const trusted = new Set<string>();
  const { time, a, b, c } = await three({ isTrusted: (peerId) => trusted.has(peerId) });
  const word = signForgotten(c.signer, ownRecord(b), time.clock.nowMs());
  t.equal(a.deliver(message(word), b.signer.peerId), 'ignore', 'by gossip');
  a.monitor.receive([], [], c.signer.peerId, [word]);
  t.ok(a.monitor.isMember(b.signer.peerId), 'by its own Hello');
  const carrier = ed25519Signer(new Uint8Array(32).fill(9)).peerId;
  a.monitor.receive([], [], carrier, [word]);
  t.ok(a.monitor.isMember(b.signer.peerId), 'by the Hello of another who is not trusted');
  trusted.add(carrier);
  a.monitor.receive([], [], carrier, [word]);
  t.notOk(a.monitor.isMember(b.signer.peerId), 'by that of one who is');
  await stopped(a, b, c);
});

t.test('after 30 days nothing is remembered of a removed member, and nothing brings it back', async (t) => {
  const { time, a, b, c } = await three();
  await c.monitor.stop();
  const late = b.monitor.forHello();
  await a.monitor.forget(c.signer.peerId);
  await b.monitor.stop();
  time.jump(29 * day);
  await time.advance(2 * hour);
  t.equal(a.monitor.forHello().forgotten.length, 1);
  time.jump(2 * day);
  await time.advance(2 * hour);
  t.equal(a.monitor.forHello().forgotten.length, 0);
  a.monitor.receive(late.records, late.metrics, b.signer.peerId);
  t.notOk(a.monitor.isMember(c.signer.peerId));
  await a.monitor.stop();
});

import t from 'tap';
import type { PinWrite, UnpinWrite } from '../../../src/cluster/pins.ts';
import type { CallContext } from '../../../src/model/call-context.ts';
import { PinfoldError } from '../../../src/model/errors.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { ed25519Signer } from '../../../src/runtime/ed25519.ts';
import { anyone, apiPeer } from '../../support/api-peer.ts';
import { testCid } from '../../support/crdt-peers.ts';

const durable = { ack: { kind: 'durable' as const }, idempotency: undefined };
const [peer1, peer2, peer3, peer4] = [1, 2, 3, 4].map((n) => ed25519Signer(new Uint8Array(32).fill(n)).peerId) as [
  string,
  string,
  string,
  string,
];
const candidates = [peer1, peer2, peer3, peer4].map((peerId, i) => ({ peerId, freeBytes: 1_000 * (1 + i) }));
const { pins, peer, stop } = await apiPeer({ replicationMin: 2, replicationMax: 3 }, candidates);
const follower = await apiPeer({ follower: true });
t.teardown(() => Promise.all([stop(), follower.stop()]));

const options: PinWrite['options'] = {
  name: '',
  mode: 'recursive',
  replicationMin: 0,
  replicationMax: 0,
  userAllocations: [],
  metadata: [],
  origins: [],
  expiresMs: 0,
};
const pin = (name: string, more: Partial<PinWrite['options']> = {}): PinWrite => ({
  kind: 'pin',
  cid: testCid(name),
  namespace: 'default',
  options: { ...options, ...more },
  condition: undefined,
});
const unpin = (name: string): UnpinWrite => ({
  kind: 'unpin',
  cid: testCid(name),
  namespace: 'default',
  condition: undefined,
});
const replacement = (from: string, to: string) => ({
  from: testCid(from),
  to: testCid(to),
  namespace: 'default',
  name: undefined,
  expiresMs: undefined,
  condition: undefined,
});
const stored = (name: string) => pins.get(testCid(name), 'default', anyone()).pin;

t.test('a pin that says nothing gets the factors of the cluster, and peers by free space', async (t) => {
  const { pin: made } = await pins.pin(pin('a'), durable, anyone());
  t.match(made?.pin, { replicationMin: 2, replicationMax: 3, allocations: [peer4, peer3, peer2] });
});

t.test('factors of its own, one or both', async (t) => {
  const min = await pins.pin(pin('b1', { replicationMin: 1 }), durable, anyone());
  t.match(min.pin?.pin, { replicationMin: 1, replicationMax: 3 });
  const all = await pins.pin(pin('b2', { replicationMin: -1, replicationMax: -1 }), durable, anyone());
  t.match(all.pin?.pin, { replicationMin: -1, allocations: [] });
  for (const wrong of [{ replicationMin: -1 }, { replicationMin: 4 }, { replicationMin: 3, replicationMax: 2 }]) {
    await t.rejects(pins.pin(pin('b3', wrong), durable, anyone()), { code: 'INVALID_ARGUMENT' });
  }
  const many = pins.pin(pin('b4', { replicationMin: 5, replicationMax: 5 }), durable, anyone());
  await t.rejects(many, { code: 'NOT_ENOUGH_PEERS', details: { facts: { needed: '5', available: '4' } } });
  t.throws(() => stored('b4'), { code: 'PIN_NOT_FOUND' });
});

t.test('preferred peers come first, and what is pinned again stays where it is', async (t) => {
  const preferred = pin('c', { userAllocations: [peer1] });
  t.strictSame((await pins.pin(preferred, durable, anyone())).pin?.pin.allocations, [peer1, peer4, peer3]);
  t.strictSame((await pins.pin(pin('c', { name: 'x' }), durable, anyone())).pin?.pin.allocations, [
    peer1,
    peer4,
    peer3,
  ]);
  const must = { ...pin('c2'), must: [peer1] };
  t.ok((await pins.pin(must, durable, anyone())).pin?.pin.allocations.includes(peer1));
});

t.test('what lies in the past has expired already', async (t) => {
  const past = pins.pin(pin('d', { expiresMs: systemClock.nowMs() - 1 }), durable, anyone());
  await t.rejects(past, { code: 'INVALID_ARGUMENT', message: /options\.expires/ });
});

t.test('a follower takes no writes of any kind, nor content', async (t) => {
  const refused = { code: 'FOLLOWER' };
  const call = anyone();
  await t.rejects(follower.pins.pin(pin('e'), durable, call), refused);
  await t.rejects(follower.pins.unpin(unpin('e'), durable, call), refused);
  await t.rejects(follower.pins.replace(replacement('e', 'f'), durable, call), refused);
  await t.rejects(follower.pins.bulk([pin('e')], undefined, durable.ack, call), refused);
  t.throws(() => follower.pins.check(pin('e'), durable.ack, call), refused);
});

t.test('namespaces of others are not touched', async (t) => {
  const mine: CallContext = { ...anyone(), namespaces: ['mine'] };
  const denied = { code: 'PERMISSION_DENIED' };
  await t.rejects(pins.pin(pin('g'), durable, mine), denied);
  await t.rejects(pins.unpin(unpin('a'), durable, mine), denied);
  await t.rejects(pins.replace(replacement('a', 'g'), durable, mine), denied);
  t.throws(() => pins.get(testCid('a'), 'default', mine), denied);
  t.throws(() => pins.check(pin('g'), durable.ack, mine), denied);
  const own = { ...pin('g'), namespace: 'mine' };
  const outcomes = await pins.bulk([own, pin('g')], undefined, durable.ack, mine);
  t.match(outcomes, [{ ok: true }, { ok: false, error: denied }]);
  await t.rejects(pins.pin({ ...pin('g'), namespace: 'Not OK' }, durable, anyone()), { message: /namespace/ });
});

t.test(
  'written again, a pin stays at a peer that is lost, behind its new ones: that may have the only copy',
  async (t) => {
    const all = candidates.slice();
    const world = await apiPeer({ replicationMin: 2, replicationMax: 2 }, all);
    t.teardown(world.stop);
    const write = () => world.pins.pin(pin('a'), durable, anyone());
    t.same((await write()).pin?.pin.allocations, [peer4, peer3]);
    all.pop();
    t.same((await write()).pin?.pin.allocations, [peer3, peer2, peer4]);
    const { pin: next } = await world.pins.replace(replacement('a', 'b'), durable, anyone());
    t.same(next?.pin.allocations, [peer3, peer2], 'of another CID there is no copy there');
  },
);

t.test('replace: the options and places of the old, in one step', async (t) => {
  const metadata = [['owner', 'alice']] as const;
  await pins.pin(pin('h1', { name: 'site', metadata, userAllocations: [peer1] }), durable, anyone());
  const places = stored('h1').allocations;
  const { pin: made } = await pins.replace(replacement('h1', 'h2'), durable, anyone());
  t.match(made?.pin, { name: 'site', metadata: [['owner', 'alice']], allocations: places });
  t.equal(Buffer.compare(made?.pin.updatedFrom ?? new Uint8Array(), testCid('h1')), 0);
  t.throws(() => stored('h1'), { code: 'PIN_NOT_FOUND' });
  const renamed = await pins.replace({ ...replacement('h2', 'h3'), name: 'other' }, durable, anyone());
  t.equal(renamed.pin?.pin.name, 'other');
});

t.test('replace: what cannot be', async (t) => {
  await t.rejects(pins.replace(replacement('missing', 'i'), durable, anyone()), { code: 'PIN_NOT_FOUND' });
  await t.rejects(pins.replace(replacement('a', 'a'), durable, anyone()), { message: /to_cid/ });
  const condition = { kind: 'if-match' as const, etag: new Uint8Array(16) };
  const stale = pins.replace({ ...replacement('a', 'i'), condition }, durable, anyone());
  await t.rejects(stale, { code: /^(CONDITION_FAILED|ETAG_UNKNOWN)$/ });
  t.throws(() => stored('i'), { code: 'PIN_NOT_FOUND' });
  t.ok(stored('a'));
});

t.test('replace: a retry with its key gets the first answer', async (t) => {
  await pins.pin(pin('j1'), durable, anyone());
  const once = { ...durable, idempotency: { key: new Uint8Array(16).fill(1), request: new Uint8Array(16).fill(2) } };
  const first = await pins.replace(replacement('j1', 'j2'), once, anyone());
  const again = await pins.replace(replacement('j1', 'j2'), once, anyone());
  t.strictSame(again.position, first.position);
  t.strictSame(again.pin?.etag, first.pin?.etag);
  const other = { ...once, idempotency: { ...once.idempotency, request: new Uint8Array(16).fill(3) } };
  await t.rejects(pins.replace(replacement('j1', 'j2'), other, anyone()), { code: 'IDEMPOTENCY_MISMATCH' });
  await pins.unpin(unpin('j2'), durable, anyone());
  const late = await pins.replace(replacement('j1', 'j2'), once, anyone());
  t.equal(late.pin, undefined, 'also when the pin has gone since');
});

t.test('bulk: one outcome each, in order; the refused keep their numbers', async (t) => {
  const error = new PinfoldError('INVALID_CID', 'x');
  const writes = [
    pin('k1'),
    { kind: 'invalid' as const, error },
    unpin('missing'),
    pin('k4', { replicationMin: 9 }),
    unpin('k1'),
  ];
  const key = new Uint8Array(16).fill(9);
  const outcomes = await pins.bulk(writes, { key, first: 1 }, durable.ack, anyone());
  t.match(outcomes, [
    { ok: true },
    { ok: false, error: { code: 'INVALID_CID' } },
    { ok: false, error: { code: 'PIN_NOT_FOUND' } },
    { ok: false, error: { code: 'INVALID_ARGUMENT' } },
    { ok: true },
  ]);
  t.equal(await pins.bulkDecided(key), 5);
});

t.test('a level that no write can reach is refused before anything is done', async (t) => {
  for (const kind of ['replicated', 'pinned'] as const) {
    const level = { ack: { kind, count: 2 }, idempotency: undefined };
    const refused = { code: 'LEVEL_UNREACHABLE', details: { facts: { peers: '1' } } };
    await t.rejects(pins.pin(pin('l'), level, anyone()), refused);
    await t.rejects(pins.bulk([pin('l')], undefined, level.ack, anyone()), refused);
    t.throws(() => pins.check(pin('l'), level.ack, anyone()), refused);
    const item = await pins.bulk([{ ...pin('l'), ack: level.ack }], undefined, durable.ack, anyone());
    t.match(item, [{ ok: false, error: refused }]);
  }
  t.throws(() => stored('l'), { code: 'PIN_NOT_FOUND' });
});

t.test('PINNED is for what is pinned, and at no more nodes than are to hold it', async (t) => {
  const level = { ack: { kind: 'pinned' as const, count: 1 }, idempotency: undefined };
  await pins.pin(pin('m'), durable, anyone());
  await t.rejects(pins.unpin(unpin('m'), level, anyone()), { code: 'INVALID_ARGUMENT' });
  t.ok(stored('m'));
  const outcomes = await pins.bulk([unpin('m'), { ...unpin('m'), ack: level.ack }], undefined, level.ack, anyone());
  t.match(outcomes, [{ ok: true }, { ok: false, error: { code: 'INVALID_ARGUMENT' } }]);
  await t.rejects(pins.waitLevel(new Uint8Array(), level.ack, undefined, anyone()), { code: 'INVALID_ARGUMENT' });
});

t.test('a write that does not reach its level in time stands, and says what was reached', async (t) => {
  const level = { ack: { kind: 'pinned' as const, count: 1 }, idempotency: undefined };
  const { level: reached, acknowledgedBy, position } = await pins.pin(pin('n'), level, anyone());
  t.same(reached, { kind: 'durable' });
  t.same(acknowledgedBy, [peer.peerId]);
  t.ok(stored('n'));
  const on = await pins.waitLevel(position, { kind: 'replicated', count: 1 }, undefined, anyone());
  t.same(on, { level: { kind: 'replicated', count: 1 }, acknowledgedBy: [peer.peerId] });
});

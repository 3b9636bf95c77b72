import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { CID } from 'multiformats/cid';
import t from 'tap';
import { PeerHealth } from '../../gen/pinfold/v1/peer_service_pb.ts';
import { PinMode, TrackerStatus } from '../../gen/pinfold/v1/pin_pb.ts';
import { type ListPinsResponse, PinOrder } from '../../gen/pinfold/v1/pin_service_pb.ts';
import { type LocalPeer, until } from '../../scripts/local-cluster.ts';
import { toV0 } from '../../src/model/cid.ts';
import { writeAll } from '../support/bulk.ts';
import {
  absentCid,
  acquainted,
  daemons,
  equalDigests,
  held,
  inlineCid,
  isPinned,
  isStatus,
  isUnpinned,
  pinnedOn,
  refusal,
  Watching,
} from '../support/daemons.ts';

const here = await daemons();
const flags = ['--cluster-expiry-delay-ms=100', '--cluster-expiry-interval-ms=200'];
const one = await here.make('one', flags);
const two = await here.make('two', flags);
const three = await here.make('three', flags);
const peers = [one, two, three];

const pinsBefore = 5_000;
const sample = Array.from({ length: pinsBefore }, (_, i) => ({
  cid: inlineCid(`sample ${i}`),
  // Names in another order than the keys; every tenth has metadata.
  options: {
    name: `object-${String((i * 7919) % pinsBefore).padStart(5, '0')}`,
    metadata: i % 10 === 0 ? [{ key: 'owner', value: `team-${i % 7}` }] : [],
  },
}));

t.test('peers that join late take in the whole pinset, and say JOINING until then', async (t) => {
  await one.start();
  await writeAll(
    one,
    sample.map((value) => ({ operation: { case: 'pin', value } })),
  );
  t.equal((await held(one)).pins, pinsBefore);

  const refusals = new Set<string>();
  const cid = inlineCid('written while joining');
  await two.start({ bootstrap: [one.address] });
  await until('peer 2 takes writes', async () => {
    const reason = await refusal(two.clients.pins.pin({ cid }));
    refusals.add(reason);
    return reason === 'OK';
  });
  // A peer that was ready at once never refused; any other word than JOINING would be a wrong one.
  refusals.delete('OK');
  refusals.delete('JOINING');
  t.same([...refusals], []);
  await three.start({ bootstrap: [two.address] });
  const { pins } = await equalDigests(peers, pinsBefore + 1);
  t.equal(pins, pinsBefore + 1);
  await acquainted(peers);
  const { members } = await three.clients.cluster.getCluster({});
  t.same(new Set(members.map(({ health }) => health)), new Set([PeerHealth.UP]));
});

t.test('every order lists the same pins once, page by page with cursors, at any peer', async (t) => {
  const text = (pins: ListPinsResponse['pins']) => pins.map(({ cid }) => cid).sort();
  const keyed = await list(three, { order: PinOrder.KEY });
  t.equal(keyed.length, pinsBefore + 1);
  for (const order of [PinOrder.NAME, PinOrder.CREATED, PinOrder.CREATED_DESCENDING]) {
    const whole = await list(two, { order });
    t.same(text(whole), text(keyed), `order ${order}`);
    t.ok(isOrdered(whole, order), `in order ${order}`);
    const paged = await pages(two, order, 777);
    t.same(
      paged.map(({ cid }) => cid),
      whole.map(({ cid }) => cid),
      `pages in order ${order}`,
    );
  }
  t.same(
    (await pages(one, PinOrder.KEY, 1_000)).map(({ cid }) => cid),
    keyed.map(({ cid }) => cid),
  );
});

t.test('filters', async (t) => {
  const named = await list(two, { filter: { name: { case: 'nameEquals', value: 'object-00042' } } });
  t.same(
    named.map(({ options }) => options?.name),
    ['object-00042'],
  );
  const prefixed = await list(two, { filter: { name: { case: 'namePrefix', value: 'object-001' } } });
  t.equal(prefixed.length, 100);
  const owned = await list(three, { filter: { metadata: [{ key: 'owner', value: 'team-3' }] } });
  t.same(
    owned.map(({ cid }) => cid).sort(),
    sample
      .filter(({ options }) => options.metadata[0]?.value === 'team-3')
      .map(({ cid }) => cid)
      .sort(),
  );
  const chosen = await list(one, { filter: { cids: [sample[3]!.cid, sample[4]!.cid, absentCid('none')] } });
  t.equal(chosen.length, 2);
  t.equal(await refusal(list(one, { filter: { namespaces: ['\0'] } })), 'INVALID_ARGUMENT');
});

t.test('what is pinned at one peer is held by all, and each tells so of all', async (t) => {
  const cid = sample[17]!.cid;
  for (const peer of peers)
    await pinnedOn(
      peer,
      cid,
      peers.map(({ peerId }) => peerId),
    );
  const statuses: string[] = [];
  const filter = { name: { case: 'namePrefix' as const, value: 'object-0012' } };
  for await (const page of two.clients.pins.listPinStatuses({ filter })) {
    t.same(page.errors, []);
    statuses.push(...page.statuses.map((status) => `${status.cid} ${status.peers.length}`));
  }
  t.equal(statuses.length, 10);
  t.ok(statuses.every((line) => line.endsWith(' 3')));
});

t.test(
  'a watch at peer 3 tells of pins made at peer 1 and of their status on peer 2; its token goes on at peer 2',
  async (t) => {
    const cid = inlineCid('watched');
    const later = inlineCid('pinned while nobody watched');
    const watching = new Watching(three, { changesOnly: true });
    const begun = new Watching(three, { filter: { cids: [sample[0]!.cid] } });
    await begun.until('what there was', isPinned(sample[0]!.cid));
    await until('it has caught up', () => begun.caughtUp);
    await begun.stop();

    await until('the watch has begun', () => watching.token.length > 0 || watching.caughtUp);
    await one.clients.pins.pin({ cid });
    await watching.until('it was pinned', isPinned(cid));
    for (const { peerId } of peers) await watching.until('each holds it', isStatus(cid, peerId, TrackerStatus.PINNED));
    t.notOk(
      watching.events.some((event) => event.case === 'pinned' && event.value.cid !== cid),
      'nothing but the change',
    );
    await until('a token names all of this', () => watching.tokenCovers === watching.events.length);
    await watching.stop();

    await one.clients.pins.pin({ cid: later });
    await one.clients.pins.unpin({ cid });
    const resumed = new Watching(two, { resumeToken: watching.token });
    await resumed.until('the pin that it missed', isPinned(later));
    await resumed.until('the unpin that it missed', isUnpinned(cid));
    await resumed.until('statuses go on', isStatus(later, three.peerId, TrackerStatus.PINNED));
    t.notOk(resumed.events.some(isPinned(sample[5]!.cid)), 'what did not change is not told again');
    await resumed.stop();
  },
);

t.test('conditional writes', async (t) => {
  const cid = inlineCid('conditional');
  const ifAbsent = { condition: { case: 'ifAbsent' as const, value: true } };
  const first = await one.clients.pins.pin({ cid, condition: ifAbsent, options: { name: 'a' } });
  t.equal(await refusal(one.clients.pins.pin({ cid, condition: ifAbsent })), 'CONDITION_FAILED');
  const etag = first.pin!.etag;
  await until('peer 2 has seen it', async () => (await refusal(two.clients.pins.getPin({ cid }))) === 'OK');
  const seen = await two.clients.pins.getPin({ cid });
  t.same(seen.pin?.etag, etag, 'equal at peers that agree');
  const ifMatch = { condition: { case: 'ifMatch' as const, value: etag } };
  const second = await two.clients.pins.pin({ cid, condition: ifMatch, options: { name: 'b' } });
  t.notSame(second.pin?.etag, etag);
  t.equal(await refusal(two.clients.pins.unpin({ cid, condition: ifMatch })), 'CONDITION_FAILED');
  t.equal((await two.clients.pins.getPin({ cid })).pin?.options?.name, 'b');
});

t.test('a retry with its idempotency key gets the first result and writes nothing', async (t) => {
  const request = { cid: inlineCid('once'), idempotencyKey: 'key-1', options: { name: 'once' } };
  const first = await one.clients.pins.pin(request);
  const before = await held(one);
  const again = await one.clients.pins.pin(request);
  t.same(again.pin, first.pin);
  t.same(again.position, first.position);
  t.same(await held(one), before);
  t.equal(await refusal(one.clients.pins.pin({ ...request, options: { name: 'other' } })), 'IDEMPOTENCY_MISMATCH');
  const unpin = { cid: request.cid, idempotencyKey: 'key-2' };
  await one.clients.pins.unpin(unpin);
  t.equal(await refusal(one.clients.pins.unpin(unpin)), 'OK', 'an unpin, too');
  t.equal(await refusal(one.clients.pins.unpin({ cid: request.cid })), 'PIN_NOT_FOUND');
});

t.test('pins end by themselves when they expire', async (t) => {
  const cid = inlineCid('expiring');
  const kept = inlineCid('expiry taken back');
  const expires = timestampFromMs(Date.now() + 1_500);
  await one.clients.pins.pin({ cid, options: { expires } });
  await one.clients.pins.pin({ cid: kept, options: { expires } });
  await one.clients.pins.pin({ cid: kept });
  t.equal(await refusal(one.clients.pins.getPin({ cid })), 'OK');
  for (const peer of peers) {
    await until('it has ended', async () => (await refusal(peer.clients.pins.getPin({ cid }))) === 'PIN_NOT_FOUND');
  }
  t.equal(await refusal(three.clients.pins.getPin({ cid: kept })), 'OK');
  const past = timestampFromMs(Date.now() - 1_000);
  t.equal(await refusal(one.clients.pins.pin({ cid, options: { expires: past } })), 'INVALID_ARGUMENT');
});

t.test('replacing pins one and unpins the other in one step', async (t) => {
  const from = inlineCid('version 1');
  const to = inlineCid('version 2');
  await one.clients.pins.pin({ cid: from, options: { name: 'site', metadata: [{ key: 'a', value: 'b' }] } });
  const watching = new Watching(one, { pinsOnly: true, changesOnly: true });
  await until('the watch has begun', () => watching.token.length > 0 || watching.caughtUp);
  const { pin } = await one.clients.pins.replacePin({ fromCid: from, toCid: to });
  t.match(pin, { cid: to, updatedFrom: from, options: { name: 'site', metadata: [{ key: 'a', value: 'b' }] } });
  await watching.until('the old has gone', isUnpinned(from));
  await watching.until('the new has come', isPinned(to));
  await watching.stop();
  await until('everywhere', async () => (await refusal(three.clients.pins.getPin({ cid: to }))) === 'OK');
  t.equal(await refusal(three.clients.pins.getPin({ cid: from })), 'PIN_NOT_FOUND');
  t.equal(await refusal(one.clients.pins.replacePin({ fromCid: from, toCid: to })), 'PIN_NOT_FOUND');
  t.equal(await refusal(one.clients.pins.replacePin({ fromCid: to, toCid: to })), 'INVALID_ARGUMENT');
});

t.test('claims on one CID: both modes, two namespaces, both CID versions, each ended by itself', async (t) => {
  const v1 = CID.parse('bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354'); // the empty directory
  const v0 = CID.decode(toV0(v1.bytes)!).toString();
  const claims = [
    { namespace: 'team-a', cid: v1.toString(), options: { mode: PinMode.RECURSIVE } },
    { namespace: 'team-b', cid: v1.toString(), options: { mode: PinMode.DIRECT } },
    { namespace: 'team-b', cid: v0, options: { mode: PinMode.RECURSIVE } },
  ];
  for (const claim of claims) await one.clients.pins.pin(claim);
  await until('all are known', async () => {
    const reasons = await Promise.all(
      claims.map(({ namespace, cid }) => refusal(two.clients.pins.getPin({ namespace, cid }))),
    );
    return reasons.every((reason) => reason === 'OK');
  });
  for (const { namespace, cid, options } of claims) {
    const { pin } = await two.clients.pins.getPin({ namespace, cid });
    t.match(pin, { namespace, cid, options });
  }
  const listed = await list(two, { filter: { cids: [v1.toString()] } });
  t.ok(listed.length >= 2);
  await two.clients.pins.unpin({ namespace: 'team-a', cid: v1.toString() });
  await until('the others stay', async () => {
    const left = await list(three, { filter: { namespaces: ['team-a', 'team-b'] } });
    return left.length === 2;
  });
  t.equal(await refusal(two.clients.pins.unpin({ namespace: 'team-a', cid: v1.toString() })), 'PIN_NOT_FOUND');
  await equalDigests(peers);
});

async function list(peer: LocalPeer, request: Parameters<LocalPeer['clients']['pins']['listPins']>[0]) {
  const pins: ListPinsResponse['pins'] = [];
  for await (const page of peer.clients.pins.listPins(request)) pins.push(...page.pins);
  return pins;
}

async function pages(peer: LocalPeer, order: PinOrder, pageSize: number) {
  const pins: ListPinsResponse['pins'] = [];
  let cursor: Uint8Array<ArrayBuffer> = new Uint8Array();
  do {
    let next: Uint8Array<ArrayBuffer> = new Uint8Array();
    for await (const page of peer.clients.pins.listPins({ order, pageSize, cursor })) {
      pins.push(...page.pins);
      next = page.cursor as Uint8Array<ArrayBuffer>;
    }
    cursor = next;
  } while (cursor.length > 0);
  return pins;
}

function isOrdered(pins: ListPinsResponse['pins'], order: PinOrder): boolean {
  const value = ({ options, created }: (typeof pins)[number]) =>
    // Pins without a name come last.
    order === PinOrder.NAME
      ? options?.name || '\uffff'
      : Number(created?.seconds) * 1_000 + Number(created?.nanos) / 1e6;
  const sign = order === PinOrder.CREATED_DESCENDING ? -1 : 1;
  return pins.every((pin, i) => {
    const before = pins[i - 1];
    if (before === undefined) return true;
    const [a, b] = [value(before), value(pin)];
    return sign === 1 ? a <= b : a >= b;
  });
}

import { hash } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import t from 'tap';
import { TrustListSchema } from '../../../gen/pinfold/peer/v1/trust_pb.ts';
import {
  HELLO_TRUST_BYTES_MAX,
  TRUST_LISTS_BYTES_MAX,
  TRUSTED_PEERS_MAX,
} from '../../../src/consensus/crdt/constants.ts';
import { crdtTables } from '../../../src/consensus/crdt/tables.ts';
import { Trust } from '../../../src/consensus/crdt/trust/trust.ts';
import { type TrustList, trustListOf, trustsAll } from '../../../src/consensus/crdt/trust/trust-list.ts';
import { formatPeerId, parsePeerId } from '../../../src/model/peer-id.ts';
import { memoryStorage } from '../../../src/storage/memory/memory-storage.ts';
import { seededRandom, testSigner } from '../../support/crdt-peers.ts';

const [me, b, c, d] = ['me', 'b', 'c', 'd'].map((name) => testSigner(name).peerId) as [string, string, string, string];

interface Member {
  peerId: string;
  follower: boolean;
  trustHash: Uint8Array;
}

const memberOf = (peerId: string, list: Pick<TrustList, 'hash'>): Member => ({
  peerId,
  follower: false,
  trustHash: list.hash,
});

function trustWith(members: Member[], trustedPeers: readonly string[] = ['*'], storage = newStorage()) {
  const trust = new Trust(
    { peerId: me, trustedPeers },
    {
      storage,
      random: seededRandom(1),
      members: { list: () => members, get: (id) => members.find(({ peerId }) => peerId === id) },
    },
  );
  return { trust, storage };
}

function newStorage() {
  return memoryStorage({ tables: crdtTables, flush: 'auto' });
}

/** A list of peers that nobody is, as it travels. */
function manyPeers(count: number, seed: number) {
  const prefix = parsePeerId(me).subarray(0, 6);
  const peerIds = Array.from({ length: count }, (_, i) => {
    const bytes = Buffer.concat([prefix, new Uint8Array(32)]);
    bytes.writeUInt32BE(seed, 6);
    bytes.writeUInt32BE(i, 10);
    return bytes;
  });
  return create(TrustListSchema, { peerIds });
}

const hashOf = ({ peerIds }: { peerIds: Uint8Array[] }) => ({ hash: hash('sha256', Buffer.concat(peerIds), 'buffer') });

t.test('itself a peer always trusts, whatever its list says', async (t) => {
  t.ok(trustWith([], []).trust.isTrusted(me));
  t.notOk(trustWith([], []).trust.isTrusted(b));
  t.ok(trustWith([], [b]).trust.isTrusted(b));
  t.ok(trustWith([], [b, '*']).trust.isTrusted(c), 'a star among peer IDs is all');
});

t.test('T4: a list that a record names and that has not come is named, and refuses nothing', async (t) => {
  const onlyC = trustListOf([c]);
  const members = [memberOf(me, trustsAll), memberOf(b, onlyC), memberOf(c, onlyC)];
  const { trust } = trustWith(members);
  t.equal(trust.listOf(b), undefined);
  t.strictSame(trust.unseen(), { unseenBy: [b, c], never: [], isRefused: false });
  trust.receive([onlyC.message]);
  t.strictSame(trust.unseen(), { unseenBy: [b, c], never: [b, c], isRefused: true });
  members[1] = memberOf(b, trustsAll);
  trust.memberChanged(b);
  t.strictSame(trust.unseen(), { unseenBy: [c], never: [c], isRefused: false });
  members.splice(2);
  trust.memberChanged(c);
  t.strictSame(trust.unseen().unseenBy, [], 'who is no member any more is not named');
});

t.test('T4: what others wrote is named by whom its author reaches, too', async (t) => {
  const onlyD = trustListOf([d]);
  const { trust } = trustWith([memberOf(b, onlyD)]);
  trust.receive([onlyD.message]);
  t.strictSame(trust.unseen().unseenBy, [b]);
  t.strictSame(trust.unseen(d).unseenBy, []);
});

t.test('lists are known at once after a start; those that no record names are let go', async (t) => {
  const [onlyC, onlyD] = [trustListOf([c]), trustListOf([d])];
  const members = [memberOf(b, onlyC)];
  const { trust, storage } = trustWith(members);
  trust.receive([onlyC.message, onlyD.message]);
  await storage.flushed();
  const again = trustWith(members, ['*'], storage.control.crash('process')).trust;
  t.strictSame(again.listOf(b)?.peerIds, [c]);
  members[0] = memberOf(b, onlyD);
  t.equal(again.listOf(b), undefined, 'what nobody named was not kept');
  again.receive([onlyD.message]);
  t.strictSame(again.listOf(b)?.peerIds, [d]);
  members[0] = memberOf(b, onlyC);
  t.equal(again.listOf(b), undefined, 'the other one was let go');
});

t.test('a list that is not sorted, double, too long or no list is none', async (t) => {
  const binary = [b, c].map((peerId) => parsePeerId(peerId)).sort(Buffer.compare);
  const named = trustListOf([b, c]);
  const { trust } = trustWith([memberOf(b, named), memberOf(c, hashOf(manyPeers(TRUSTED_PEERS_MAX + 1, 1)))]);
  for (const peerIds of [[...binary].reverse(), [...binary, ...binary.slice(1)], [new Uint8Array(3)]]) {
    trust.receive([create(TrustListSchema, { peerIds })]);
    t.equal(trust.listOf(b), undefined);
  }
  trust.receive([manyPeers(TRUSTED_PEERS_MAX + 1, 1)]);
  t.equal(trust.listOf(c), undefined);
  trust.receive([create(TrustListSchema, { peerIds: binary })]);
  t.strictSame(trust.listOf(b)?.peerIds.length, 2);
});

t.test('lists are kept up to their limit, and a Hello carries what fits, all in turn', async (t) => {
  const lists = Array.from({ length: 450 }, (_, i) => manyPeers(TRUSTED_PEERS_MAX, i + 1));
  const names = manyPeers(lists.length, 0).peerIds.map((bytes) => formatPeerId(bytes));
  const members = names.map((peerId, i) => memberOf(peerId, hashOf(lists[i] as never)));
  const { trust } = trustWith(members, [b]);
  for (let i = 0; i < lists.length; i += 50) trust.receive(lists.slice(i, i + 50));
  const known = members.filter(({ peerId }) => trust.listOf(peerId) !== undefined).length;
  t.equal(known, Math.floor(TRUST_LISTS_BYTES_MAX / (TRUSTED_PEERS_MAX * 40)));
  const seen = new Set<string>();
  for (let i = 0; i < 200; i++) {
    const given = trust.forHello();
    t.ok(given.length <= HELLO_TRUST_BYTES_MAX / (TRUSTED_PEERS_MAX * 40) + 1);
    t.strictSame(given[0]?.peerIds.length, 1, 'its own first');
    for (const message of given.slice(1)) seen.add(Buffer.from(message.peerIds[0] as Uint8Array).toString('hex'));
  }
  t.ok(seen.size > known * 0.9, `${seen.size} of ${known} in 200 Hellos`);
});

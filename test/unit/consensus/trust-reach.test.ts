import t from 'tap';
import { reachedFrom, type TrustingMember, unseenOf } from '../../../src/consensus/crdt/core/trust-reach.ts';
import { trustListOf, trustsAll } from '../../../src/consensus/crdt/trust/trust-list.ts';
import { seededRandom, testSigner } from '../../support/crdt-peers.ts';

function member(peerId: string, trusts: readonly string[] | 'all' | 'unknown', isFollower = false): TrustingMember {
  if (trusts === 'unknown') return { peerId, isFollower, trusts: undefined };
  return { peerId, isFollower, trusts: trusts === 'all' ? trustsAll : new Set(trusts) };
}

t.test('T4: a write reaches who trusts its author, and on through whoever took it', async (t) => {
  const members = [member('b', ['a']), member('c', ['b']), member('d', ['c']), member('e', ['nobody'])];
  t.strictSame([...reachedFrom(['a'], members, false)].sort(), ['b', 'c', 'd']);
  t.strictSame(unseenOf(['a'], members), { unseenBy: ['e'], never: ['e'], isRefused: false });
});

t.test('T4: nobody takes state from a follower, so what it has goes no further', async (t) => {
  const members = [member('f', ['a'], true), member('c', ['f'])];
  t.strictSame(unseenOf(['a'], members), { unseenBy: ['c'], never: ['c'], isRefused: false });
});

t.test('T4: refused when no other member takes it; alone there is nobody to refuse', async (t) => {
  t.strictSame(unseenOf(['a'], [member('b', ['c']), member('c', [])]), {
    unseenBy: ['b', 'c'],
    never: ['b', 'c'],
    isRefused: true,
  });
  t.strictSame(unseenOf(['a'], []), { unseenBy: [], never: [], isRefused: false });
});

t.test('T4: a list that is not known is named, and never a cause for refusing', async (t) => {
  const members = [member('b', 'unknown'), member('c', ['b']), member('d', ['nobody'])];
  t.strictSame(unseenOf(['a'], members), { unseenBy: ['b', 'c', 'd'], never: ['d'], isRefused: false });
});

t.test('T4: what another peer wrote is here, too, and goes on from both', async (t) => {
  const members = [member('b', ['nobody']), member('c', ['a']), member('d', ['b'])];
  t.strictSame(unseenOf(['a', 'b'], members).unseenBy, []);
});

/** Rounds of everyone asking everyone, as T1 to T3 say it, until nothing moves. */
function flooded(author: string, members: readonly TrustingMember[]): string[] {
  const has = new Set([author]);
  for (let moved = true; moved; ) {
    moved = false;
    for (const taker of members) {
      if (has.has(taker.peerId)) continue;
      const givers = [...has].filter(
        (giver) => giver === author || !members.find(({ peerId }) => peerId === giver)?.isFollower,
      );
      if (givers.some((giver) => taker.trusts?.has(giver))) moved = Boolean(has.add(taker.peerId));
    }
  }
  return [...has].filter((peerId) => peerId !== author).sort();
}

t.test('T4: random lists, against a flood round by round', async (t) => {
  const random = seededRandom(11);
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  let partly = 0;
  for (let round = 0; round < 2_000; round++) {
    const density = random.float();
    const members = names
      .slice(1)
      .map((name) =>
        member(
          name,
          random.float() < 0.1 ? 'all' : names.filter(() => random.float() < density * 0.6),
          random.float() < 0.2,
        ),
      );
    const truth = flooded('a', members);
    t.strictSame([...reachedFrom(['a'], members, false)].sort(), truth);
    const { unseenBy, isRefused } = unseenOf(['a'], members);
    t.equal(isRefused, truth.length === 0);
    t.equal(unseenBy.length, members.length - truth.length);
    if (truth.length > 0 && truth.length < members.length) partly++;
  }
  t.ok(partly > 500, `seeds are of use: ${partly} rounds in which some see it and some do not`);
});

t.test('a list is known by its hash: order does not matter, and empty is not all', async (t) => {
  const [a, b] = [testSigner('a').peerId, testSigner('b').peerId];
  t.strictSame(trustListOf([a, b]).hash, trustListOf([b, a, b]).hash);
  t.equal(trustListOf([]).hash.length, 32);
  t.equal(trustsAll.hash.length, 0);
  t.notOk(trustListOf([]).has(a));
  t.throws(() => trustListOf(['12D3KooWnonsense']), { code: 'INVALID_ARGUMENT' });
});

import { hash } from 'node:crypto';
import t from 'tap';
import { type Branch, forkPoint, isForkProof, type Link } from '../../../src/consensus/crdt/core/fork-point.ts';
import { judge } from '../../../src/consensus/crdt/core/judge.ts';
import type { LocalOperation } from '../../../src/consensus/crdt/core/operation-writer.ts';
import { rewrite } from '../../../src/consensus/crdt/core/rewrite.ts';
import { AMEND, type Batch, PIN, UNPIN } from '../../../src/consensus/crdt/core/types.ts';
import { ShadowTaken } from '../../../src/consensus/crdt/rebuild/shadow-taken.ts';
import type { Replica } from '../../../src/consensus/crdt/state/replicas.ts';
import { StagedClock } from '../../../src/consensus/crdt/state/staged-clock.ts';
import type { LiveDot } from '../../../src/pinset/pinset.ts';

const hashOf = (text: string) => Uint8Array.from(hash('sha256', text, 'buffer'));

/** Batches of so many operations each, in a row behind `before`. */
function chain(label: string, sizes: readonly number[], before?: Link): Link[] {
  const links: Link[] = [];
  let last = before;
  for (const [i, size] of sizes.entries()) {
    const first = (last?.last ?? 0) + 1;
    last = { first, last: first + size - 1, prev: last?.hash ?? new Uint8Array(0), hash: hashOf(`${label} ${i}`) };
    links.push(last);
  }
  return links;
}

const branch = (links: readonly Link[]): Branch => ({
  endingAt: (sequence) => links.find(({ last }) => last === sequence),
  containing: (sequence) => links.find(({ first, last }) => first <= sequence && sequence <= last),
});

t.test('N4: where two branches part, told by the headers of the other one', async (t) => {
  const shared = chain('shared', [2, 3]);
  const [mine, theirs] = [chain('mine', [1, 4], shared[1]), chain('theirs', [2, 2, 2], shared[1])];
  const own = branch([...shared, ...mine]);
  const told = [...shared, ...theirs].map((link) => forkPoint(own, link));
  t.same(
    told.map((each) => (typeof each === 'string' ? each : each.common)),
    ['same', 'same', 5, 'earlier', 'earlier'],
  );
  t.match(told[2], { commonHash: shared[1]?.hash, winner: theirs[0]?.hash });
  t.equal(forkPoint(branch(shared), theirs[0] as Link), 'same', 'the own branch ends before it: no fork');
  t.equal(forkPoint(branch(shared), theirs[2] as Link), 'earlier', 'and so it is looked for further down');

  const other = chain('other', [3]);
  t.match(forkPoint(own, other[0] as Link), { common: 0, commonHash: new Uint8Array(0) }, 'from the first on');
});

t.test('N4: two headers prove a fork when no history has both', async (t) => {
  const shared = chain('shared', [2, 3]) as [Link, Link];
  const mine = chain('mine', [1, 4], shared[1]) as [Link, Link];
  const theirs = chain('theirs', [2, 3], shared[1]) as [Link, Link];
  t.ok(isForkProof(mine[0], theirs[0]), 'the same sequence twice');
  t.ok(isForkProof(theirs[1], mine[1]), 'overlapping');
  t.ok(isForkProof(theirs[1], mine[0]) === false, 'apart: they may be of one history');
  t.ok(isForkProof(mine[0], { ...theirs[1], first: 7 }), 'the next goes on from another');
  for (const [a, b] of [
    [shared[0], shared[1]],
    [shared[1], mine[0]],
    [mine[0], mine[1]],
    [mine[0], mine[0]],
  ] as const) {
    t.notOk(isForkProof(a, b));
    t.notOk(isForkProof(b, a));
  }
});

const key = Buffer.from('key');
const names = { from: 1, common: 5, to: 9 };

const operation = (fields: Partial<LocalOperation>): LocalOperation => ({
  kind: PIN,
  key,
  sees: [],
  stamp: 100,
  value: Buffer.from('v'),
  allocations: [],
  idempotency: undefined,
  ...fields,
});

const dot = (replica: number, sequence: number, fields: Partial<LiveDot> = {}): LiveDot => ({
  replica,
  sequence,
  stamp: 100,
  value: Buffer.from('v'),
  placementStamp: 100,
  placementReplica: replica,
  allocations: [],
  ...fields,
});

t.test('N4: what a branch that was given up did, written again', async (t) => {
  const other = dot(2, 7);
  t.same(
    rewrite(operation({ sees: [1, 3, 2, 4] }), 6, [dot(1, 6), other], names, 1),
    { operation: operation({ sees: [1, 3, 2, 4] }), row: [other, dot(9, 1)] },
    'a pin that lives has a new name',
  );
  const placed = dot(1, 6, { placementStamp: 150, placementReplica: 3, allocations: [4] });
  t.same(
    rewrite(operation({}), 6, [placed], names, 1),
    { operation: operation({ allocations: [4] }), row: [dot(9, 1, { allocations: [4] })] },
    'and lies where it lies now',
  );
  const unpin = operation({ kind: UNPIN, sees: [2, 4], value: undefined });
  t.same(
    rewrite(operation({ sees: [2, 4, 1, 6] }), 7, [other], names, 2),
    { operation: unpin, row: [other] },
    'a pin that somebody removed stays removed; what it saw of its own branch has no name any more',
  );
  t.same(rewrite(unpin, 8, [other], names, 3), { operation: unpin, row: [other] });
});

t.test('N4: an amendment is written again where it still shows', async (t) => {
  const amend = operation({ kind: AMEND, sees: [2, 4], stamp: 120, value: undefined, allocations: [8] });
  const amended = dot(2, 4, { placementStamp: 120, placementReplica: 1, allocations: [8] });
  t.same(rewrite(amend, 6, [amended], names, 1), {
    operation: { ...amend, stamp: 121 },
    row: [{ ...amended, placementStamp: 121, placementReplica: 9 }],
  });
  const since = dot(2, 4, { placementStamp: 130, placementReplica: 3, allocations: [7] });
  t.same(rewrite(amend, 6, [since], names, 1), { operation: undefined, row: [since] }, 'a greater one has won');
  const own = { ...amend, sees: [1, 6] };
  const live = dot(1, 6, { placementStamp: 120, allocations: [8] });
  t.same(rewrite(own, 7, [live], names, 2), { operation: undefined, row: [live] }, 'its pin is written with it');
});

t.test('N4: a known fork takes what goes on from the branch that was taken, and nothing else', async (t) => {
  const batch = (first: number, prev: string, label: string) =>
    ({
      head: { first, last: first, prev: hashOf(prev), inc: [] },
      hash: hashOf(label),
      ridText: 'r',
    }) as unknown as Batch;
  const clock = (fields: object) => ({
    taken: () => ({ sequence: 4, hash: hashOf('four'), frozen: '', ...fields }),
    covers: () => true,
  });
  t.equal(judge(clock({}), batch(5, 'other', 'x')), 'fork');
  t.equal(judge(clock({ isForked: true }), batch(5, 'other', 'x')), 'frozen');
  t.equal(judge(clock({ isForked: true }), batch(5, 'four', 'x')), 'apply');
  t.equal(judge(clock({ frozen: 'errs' }), batch(5, 'four', 'x')), 'frozen');
  const settled = new Map([[5, hashOf('winner')]]);
  t.equal(judge(clock({ settled }), batch(5, 'four', 'loser')), 'frozen');
  t.equal(judge(clock({ settled }), batch(5, 'four', 'winner')), 'apply');
});

t.test('N4: a branch that was given up is not taken in the middle of a transaction, nor into a shadow', async (t) => {
  const batch = (first: number, prev: string, label: string) =>
    ({
      head: { first, last: first, prev: hashOf(prev), inc: [] },
      hash: hashOf(label),
      ridText: 'r',
    }) as unknown as Batch;
  const settled = new Map([[5, hashOf('winner')]]);
  const known = { sequence: 3, hash: hashOf('three'), frozen: '', isForked: false, settled };
  const clock = { taken: () => known, covers: () => true };

  const staged = new StagedClock(clock);
  staged.stage({ replica: { ridText: 'r' } as Replica, sequence: 4, hash: hashOf('four') });
  t.equal(judge(staged, batch(5, 'four', 'loser')), 'frozen');
  t.equal(judge(staged, batch(5, 'four', 'winner')), 'apply');

  const behind = { taken: () => ({ sequence: 4, hash: hashOf('four'), frozen: '' }), covers: () => true };
  t.equal(judge(new ShadowTaken(behind, clock), batch(5, 'four', 'loser')), 'frozen');
  t.equal(judge(new ShadowTaken(behind, clock), batch(5, 'four', 'winner')), 'apply');
  const nothing = { taken: () => undefined, covers: () => true };
  const first = { ...known, settled: new Map([[1, hashOf('winner')]]) };
  const begins = { ...batch(1, '', 'loser'), head: { ...batch(1, '', '').head, prev: new Uint8Array(0) } } as Batch;
  t.equal(judge(new ShadowTaken(nothing, { taken: () => first }), begins), 'frozen', 'from its first batch on');
  t.equal(judge(new ShadowTaken(nothing, nothing), begins), 'apply', 'of whom nothing is known');
});

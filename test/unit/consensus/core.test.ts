import t from 'tap';
import { judge, type TakenClock } from '../../../src/consensus/crdt/core/judge.ts';
import { merge } from '../../../src/consensus/crdt/core/merge.ts';
import { Pending } from '../../../src/consensus/crdt/core/pending.ts';
import { withAmendment, withoutSeen, withPin } from '../../../src/consensus/crdt/core/rows.ts';
import { nextStamp } from '../../../src/consensus/crdt/core/stamps.ts';
import type { Batch } from '../../../src/consensus/crdt/core/types.ts';
import { PeerViews } from '../../../src/consensus/crdt/peer-views.ts';
import type { LiveDot, PinRow } from '../../../src/pinset/pinset.ts';
import { fc } from '../../support/fast-check.ts';

const rids = { name: (replica: number) => new Uint8Array(16).fill(replica) };

function dot(replica: number, sequence: number, placementStamp = sequence, placementReplica = replica): LiveDot {
  return {
    replica,
    sequence,
    stamp: sequence,
    value: new Uint8Array(0),
    placementStamp,
    placementReplica,
    allocations: [placementStamp],
  };
}

const ids = (row: PinRow) => row.map(({ replica, sequence }) => `${replica}.${sequence}`);
const clock =
  (...covered: number[]) =>
  (replica: number) =>
    covered[replica] ?? 0;

t.test('merge (section 4.6)', async (t) => {
  t.same(
    ids(merge([dot(0, 1)], clock(1), [], clock(0), rids)),
    ['0.1'],
    'what the source has not heard of stays (merge-drops-uncovered)',
  );
  t.same(
    ids(merge([dot(0, 1)], clock(1), [], clock(1), rids)),
    [],
    'what it knows and has not got goes (merge-never-removes)',
  );
  t.same(
    ids(merge([], clock(1), [dot(0, 1)], clock(1), rids)),
    [],
    'what I know and have not got stays away (merge-takes-all)',
  );
  t.same(ids(merge([], clock(0), [dot(0, 1)], clock(1), rids)), ['0.1'], 'what I have not heard of comes');
  const [mine, theirs] = [dot(0, 1, 9, 1), dot(0, 1, 5, 2)];
  t.equal(
    merge([mine], clock(1), [theirs], clock(1), rids)[0]?.placementStamp,
    9,
    'the greater placement (placement-of-sender)',
  );
  t.equal(merge([theirs], clock(1), [mine], clock(1), rids)[0]?.placementStamp, 9);
});

interface Act {
  kind: 'pin' | 'unpin' | 'amend';
  replica: number;
}

t.test('merge gives what taking in all operations would give, for any two peers', async (t) => {
  const act: fc.Arbitrary<Act> = fc.record({
    kind: fc.constantFrom('pin', 'unpin', 'amend'),
    replica: fc.nat({ max: 1 }),
  });
  const meet = fc.constant('meet' as const);
  fc.assert(
    fc.property(
      fc.array(fc.oneof({ weight: 5, arbitrary: act }, { weight: 1, arbitrary: meet }), { maxLength: 14 }),
      (acts) => {
        // Two peers act on one key; now and then they take in each other's operations. In the end: merge against the truth.
        const peers = [newPeer(), newPeer()] as const;
        const log: ((row: PinRow) => PinRow)[][] = [[], []];
        for (const one of acts) {
          if (one === 'meet') exchange(peers, log);
          else perform(peers[one.replica as 0 | 1], one, log[one.replica] as ((row: PinRow) => PinRow)[]);
        }
        const [a, b] = peers;
        const merged = merge(a.row, clock(...a.clock), b.row, clock(...b.clock), rids);
        exchange(peers, log);
        t.same(merged, a.row);
        t.same(a.row, b.row);
      },
    ),
    { numRuns: 500 },
  );
});

interface OnePeer {
  row: PinRow;
  clock: number[];
}

function newPeer(): OnePeer {
  return { row: [], clock: [0, 0] };
}

let stamp = 0;

function perform(peer: OnePeer, { kind, replica }: Act, log: ((row: PinRow) => PinRow)[]): void {
  const seen = peer.row.flatMap((one) => [one.replica, one.sequence]);
  const sequence = (peer.clock[replica] as number) + 1;
  const at = ++stamp;
  const change = (row: PinRow): PinRow => {
    if (kind === 'pin') return withPin(row, seen, { ...dot(replica, sequence, at, replica), stamp: at });
    if (kind === 'unpin') return withoutSeen(row, seen);
    return withAmendment(row, seen, { placementStamp: at, placementReplica: replica, allocations: [at] }, rids);
  };
  peer.clock[replica] = sequence;
  peer.row = change(peer.row);
  log.push(change);
}

function exchange([a, b]: readonly [OnePeer, OnePeer], log: ((row: PinRow) => PinRow)[][]): void {
  const before = [...a.clock];
  for (const [to, from, of] of [
    [a, b.clock, 1],
    [b, before, 0],
  ] as const) {
    const changes = log[of] as ((row: PinRow) => PinRow)[];
    for (let i = to.clock[of] as number; i < (from[of] as number); i++)
      to.row = (changes[i] as (row: PinRow) => PinRow)(to.row);
    to.clock[of] = Math.max(to.clock[of] as number, from[of] as number);
  }
}

const hashOf = (n: number) => new Uint8Array(32).fill(n);

function batch(
  first: number,
  last: number,
  more: { prev?: number; hash?: number; inc?: [number, number][]; rid?: number } = {},
): Batch {
  const rid = new Uint8Array(16).fill(more.rid ?? 1);
  return {
    header: new Uint8Array(100),
    signature: new Uint8Array(64),
    ops: new Uint8Array(1_000),
    wantAck: false,
    hash: hashOf(more.hash ?? last),
    rid,
    ridText: `rid ${more.rid ?? 1}`,
    head: {
      level: 1,
      author: new Uint8Array(38),
      incarnation: new Uint8Array(8),
      first,
      last,
      prev: more.prev === undefined && first === 1 ? new Uint8Array(0) : hashOf(more.prev ?? first - 1),
      inc: (more.inc ?? []).map(([of, sequence]) => ({ rid: new Uint8Array(16).fill(of), sequence })),
      opsHash: hashOf(0),
      opsBytes: 1_000,
    },
  };
}

function taken(sequence: number, { hash = sequence, frozen = '', others = 0 } = {}): TakenClock {
  const own = sequence === 0 ? undefined : { sequence, hash: hashOf(hash), frozen };
  return { taken: () => own, covers: (entry) => entry.sequence <= others };
}

t.test('judge: R2 to R5, each alone', async (t) => {
  t.equal(judge(taken(0), batch(1, 3)), 'apply');
  t.equal(judge(taken(3), batch(4, 5)), 'apply');
  t.equal(judge(taken(5), batch(4, 5)), 'duplicate', 'R2');
  t.equal(judge(taken(9), batch(4, 5)), 'duplicate', 'R2');
  t.equal(judge(taken(5), batch(4, 5, { hash: 77 })), 'fork', 'R2: another at the same end');
  t.equal(judge(taken(4), batch(4, 5)), 'fork', 'R3');
  t.equal(judge(taken(3), batch(5, 6)), 'pend', 'R4: a gap');
  t.equal(judge(taken(3), batch(4, 5, { inc: [[2, 1]] })), 'pend', 'R4: inc is not covered');
  t.equal(judge(taken(3, { others: 1 }), batch(4, 5, { inc: [[2, 1]] })), 'apply');
  t.equal(judge(taken(3), batch(4, 5, { prev: 77 })), 'fork', 'R5');
  t.equal(judge(taken(3, { frozen: 'forked' }), batch(4, 5)), 'frozen', 'N4');
});

t.test('pending: bounded, in order, given back when their time has come', async (t) => {
  const limits = {
    pendingBytesMax: 10_000,
    pendingAuthorBytesMax: 4_500,
    pendingBatchesMax: 100,
    pendingTimeoutMs: 10_000,
  };
  const pending = new Pending(limits);
  t.equal(pending.add(batch(3, 3), 'x', 0), 0);
  t.equal(pending.add(batch(2, 2), 'x', 0), 0);
  t.equal(pending.add(batch(2, 2), 'y', 0), 0, 'doubled');
  t.equal(pending.count, 2);
  t.equal(pending.add(batch(9, 9), 'x', 0), 0);
  t.equal(pending.add(batch(8, 8), 'x', 0), 1, 'over the limit of one author the newest goes');
  t.same(
    pending.takeReady(taken(1)).map((one) => one.batch.head.first),
    [2],
  );
  t.same(
    pending.takeReady(taken(2)).map((one) => one.batch.head.first),
    [3],
  );
  t.equal(pending.expire(9_999), 0);
  t.equal(pending.expire(10_000), 1);
  t.equal(pending.bytes, 0);
});

t.test('stamps grow with the clock, with what was issued, and with the key (5.1)', async (t) => {
  t.equal(nextStamp(5, 0, 0), 5 * 1024);
  t.equal(nextStamp(5, 5 * 1024, 0), 5 * 1024 + 1);
  t.equal(nextStamp(5, 0, 9 * 1024), 9 * 1024 + 1);
});

t.test('what is heard of others: clock skew (C4), two processes with one identity (N5)', async (t) => {
  const views = new PeerViews();
  const view = { isEmpty: false, isFollower: false, level: 1, heardMs: 0 };
  t.equal(views.heard({ ...view, peerId: 'a', ridText: '1', boot: '1', offsetMs: 70_000 }), 'same');
  t.equal(views.skewMs(0), undefined, 'one peer says nothing');
  t.equal(views.heard({ ...view, peerId: 'b', ridText: '2', boot: '2', offsetMs: 90_000 }), 'same');
  t.equal(views.skewMs(0), 70_000, 'of two middle ones the nearer: one mad clock must not stop this peer');
  t.equal(views.heard({ ...view, peerId: 'c', ridText: '3', boot: '3', offsetMs: 0, isFollower: true }), 'same');
  t.equal(views.skewMs(0), 70_000, 'followers do not count');
  t.equal(views.skewMs(61_000), undefined, 'nor what is old');
  t.equal(views.heard({ ...view, peerId: 'a', ridText: '1b', boot: '1b', offsetMs: 0 }), 'other', 'a restart, maybe');
  t.equal(
    views.heard({ ...view, peerId: 'a', ridText: '1', boot: '1', offsetMs: 0 }),
    'two',
    'the old one again: two processes',
  );
});

import t from 'tap';
import { covers, joined } from '../../../src/consensus/crdt/core/clocks.ts';
import { clockAt, cut, mergedMarks, oldestAbove } from '../../../src/consensus/crdt/core/log-cut.ts';
import { answered, isNeedless, maySwap, swapped } from '../../../src/consensus/crdt/core/rebuild.ts';
import { hearsOnlyFullNeeded } from '../../../src/consensus/crdt/core/rebuild-need.ts';

function clock(of: Record<string, number>): Map<string, number> {
  return new Map(Object.entries(of));
}

const none = clock({});

t.test('the first answer sets base, C′ and goal; it must bring something (B2)', async (t) => {
  t.equal(answered(undefined, clock({ a: 3 }), clock({ a: 2 })), 'useless');
  t.equal(answered(undefined, none, none), 'useless');
  const shadow = answered(undefined, clock({ a: 3, b: 1 }), clock({ a: 2, b: 4 }));
  const e = clock({ a: 3, b: 4 });
  t.strictSame(shadow, { base: e, taken: e, goal: e });
});

t.test('a later answer moves the goal only, and is taken only if E covers C′', async (t) => {
  const shadow = { base: clock({ a: 2 }), taken: clock({ a: 5 }), goal: clock({ a: 4 }) };
  t.equal(answered(shadow, clock({ a: 1 }), clock({ a: 4, b: 9 })), 'behind', 'range-below-clock');
  t.strictSame(answered(shadow, clock({ a: 1 }), clock({ a: 5, b: 9 })), { ...shadow, goal: clock({ a: 5, b: 9 }) });
  t.strictSame(answered(shadow, clock({ a: 6 }), clock({ b: 1 })), { ...shadow, goal: clock({ a: 6, b: 1 }) });
});

t.test('the swap waits for the goal and for what is live (B5)', async (t) => {
  const shadow = { base: clock({ a: 2 }), taken: clock({ a: 5 }), goal: clock({ a: 5 }) };
  t.equal(maySwap(shadow, clock({ a: 5 })), true);
  t.equal(maySwap(shadow, clock({ a: 1_005 })), true, 'its own transaction takes the last 1,000');
  t.equal(maySwap(shadow, clock({ a: 1_005, b: 1 })), false, 'swap-before-live');
  t.equal(maySwap({ ...shadow, goal: clock({ a: 6 }) }, none), false, 'swap-before-goal');
  t.throws(() => swapped(shadow, clock({ a: 6 }), none), /C′ covers C/);
  t.throws(() => swapped({ ...shadow, goal: clock({ b: 1 }) }, none, none), /the goal/);
});

t.test('floors rise over what came as rows, and only over that (floor-not-raised)', async (t) => {
  const shadow = { base: clock({ a: 4, b: 7, c: 2 }), taken: clock({ a: 5, b: 7, c: 9 }), goal: clock({ a: 4 }) };
  const { clock: c, floors } = swapped(shadow, clock({ a: 5, b: 6, c: 1 }), clock({ a: 1, b: 3, c: 1, d: 4 }));
  t.strictSame(c, shadow.taken);
  t.strictSame(floors, clock({ a: 1, b: 7, c: 2, d: 4 }));
});

t.test('a shadow is needless when C covers its goal by itself (B6)', async (t) => {
  const shadow = { base: clock({ a: 4 }), taken: clock({ a: 5 }), goal: clock({ a: 4 }) };
  t.equal(isNeedless(shadow, clock({ a: 3 })), false);
  t.equal(isNeedless(shadow, clock({ a: 4 })), true);
});

t.test('a rebuild is needed when nobody that has what is lacking can send it', async (t) => {
  t.equal(hearsOnlyFullNeeded([]), false);
  t.equal(hearsOnlyFullNeeded(['nothing-new']), false);
  t.equal(hearsOnlyFullNeeded(['full-needed', 'nothing-new']), true, 'that one lacks it, too');
  t.equal(hearsOnlyFullNeeded(['full-needed', 'serving']), false);
});

const whole = {
  floors: none,
  clock: clock({ a: 9, b: 9 }),
  shadow: undefined,
  acknowledged: [],
  old: none,
  due: none,
  overdue: none,
};

t.test('L1: what every holder has acknowledged goes when it is old enough', async (t) => {
  const acknowledged = [clock({ a: 8, b: 3 }), clock({ a: 5, b: 20 })];
  t.strictSame(cut({ ...whole, acknowledged, old: clock({ a: 7, b: 2 }) }).floors, clock({ a: 5, b: 2 }));
  t.strictSame(cut({ ...whole, acknowledged: [...acknowledged, none], old: whole.clock }).floors, none);
  t.strictSame(cut({ ...whole, old: whole.clock }).floors, none, 'without holders nobody has acknowledged anything');
});

t.test('L2: what is too old or too much goes, whoever lacks it; never above C (L3)', async (t) => {
  const acknowledged = [clock({ a: 1 })];
  t.strictSame(cut({ ...whole, acknowledged, due: clock({ a: 4, b: 12 }) }).floors, clock({ a: 4, b: 9 }));
  t.strictSame(cut({ ...whole, floors: clock({ a: 6 }), due: clock({ a: 4 }) }).floors, clock({ a: 6 }), 'I11');
});

t.test('L3: while a shadow stands its C′ bounds the cut, but for what cannot wait (tail-cut)', async (t) => {
  const input = { ...whole, shadow: clock({ a: 3 }), due: clock({ a: 5, b: 5 }) };
  t.strictSame(cut(input), { floors: clock({ a: 3 }), discardsShadow: false });
  t.strictSame(cut({ ...input, overdue: clock({ a: 3 }) }), { floors: clock({ a: 3 }), discardsShadow: false });
  t.strictSame(cut({ ...input, overdue: clock({ a: 4 }) }), { floors: clock({ a: 5, b: 5 }), discardsShadow: true });
});

t.test('marks say how old batches are, and what is the oldest', async (t) => {
  const marks = [
    { timeMs: 10, clock: clock({ a: 1 }) },
    { timeMs: 20, clock: clock({ a: 4 }) },
  ];
  t.strictSame(clockAt(marks, 9), none);
  t.strictSame(clockAt(marks, 19), clock({ a: 1 }));
  t.strictSame(clockAt(marks, 99), clock({ a: 4 }));
  t.strictSame(oldestAbove(marks, none), clock({ a: 1 }));
  t.strictSame(oldestAbove(marks, clock({ a: 1 })), clock({ a: 4 }));
  t.strictSame(oldestAbove(marks, clock({ a: 4 })), none);
});

t.test('covering and joining', async (t) => {
  t.equal(covers(clock({ a: 1 }), clock({ a: 1, b: 0 })), true);
  t.equal(covers(clock({ a: 1 }), clock({ b: 1 })), false);
  t.strictSame(joined(clock({ a: 1, b: 2 }), clock({ b: 1, c: 3 })), clock({ a: 1, b: 2, c: 3 }));
});

t.test('old marks are merged, but for one in so much time or so many bytes', async (t) => {
  const limits = { ageMs: 100, bytes: 50 };
  const marks = (times: number[], bytes = 10) => times.map((timeMs) => ({ timeMs, bytes }));
  const merged = (of: ReturnType<typeof marks>) =>
    mergedMarks(of, 1_000, limits).map(({ mark, bytes }) => [mark.timeMs, bytes]);
  t.strictSame(
    merged(marks([910, 920, 930])),
    [
      [910, 10],
      [920, 10],
      [930, 10],
    ],
    'the young stay',
  );
  t.strictSame(merged(marks([100, 120, 140, 160, 180, 201, 220])), [
    [100, 10],
    [180, 40],
    [220, 20],
  ]);
  t.strictSame(merged(marks([100, 101, 102, 103], 30)).length, 4, 'a burst is not merged to one');
  const many = merged(Array.from({ length: 500 }, (_, i) => ({ timeMs: i * 2, bytes: 1 })));
  t.ok(many.length < 80, `${many.length}`);
  t.equal(
    many.reduce((sum, [, bytes]) => sum + (bytes as number), 0),
    500,
    'bytes add up',
  );
});

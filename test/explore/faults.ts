import { type Bounds, plainBounds } from './world/bounds.ts';

/** A text of the core's sources, and what stands in its place. */
export interface Patch {
  /** In src/consensus/crdt/core. */
  readonly file: string;
  /** Must stand there exactly once. */
  readonly find: string;
  readonly replace: string;
}

export interface Fault {
  /** What is done wrong. */
  readonly does: string;
  /** What it breaks. */
  readonly breaks: string;
  readonly bounds: Bounds;
  /** None: the world outside the core commits it (`isPlanted`). */
  readonly patches: readonly Patch[];
}

function fault(does: string, breaks: string, bounds: Partial<Bounds>, ...patches: Patch[]): Fault {
  return { does, breaks, bounds: { ...plainBounds, ...bounds }, patches };
}

function patch(file: string, find: string, replace: string): Patch {
  return { file, find, replace };
}

const rebuild = { rebuilds: 1 };
const crash = { isFlushedAtOnce: false, crashes: 1 };
const coversGoal = patch(
  'rebuild.ts',
  "if (!covers(shadow.taken, shadow.goal)) throw new Error('a swap before C′ covers the goal (B5)');",
  '',
);
const coversLive = patch(
  'rebuild.ts',
  "if (!covers(shadow.taken, c)) throw new Error('a swap before C′ covers C (B5)');",
  '',
);

/** Each breaks one rule of docs/protocol.md; the explorer must find where that leads. */
export const faults = {
  'no-causal-condition': fault(
    'batches are applied as they come, in the order of their author only',
    'N4',
    { peers: 3 },
    patch('judge.ts', ' || !head.inc.every((entry) => clock.covers(entry))', ''),
  ),
  'sync-out-of-order': fault(
    'Sync sends authors one after the other, whatever their batches depend on',
    'I8',
    { peers: 3 },
    patch('causal-order.ts', 'if (next?.inc.every(covers)) return index;', 'if (next !== undefined) return index;'),
  ),
  'pending-forgotten': fault(
    'what was put aside is not looked at again',
    'R4',
    { peers: 3, pends: true },
    patch(
      'pending.ts',
      "if (judge(clock, batch) !== 'pend') return false;",
      "return judge(clock, batch) !== 'duplicate';",
    ),
  ),
  'superseded-left-out': fault('Sync leaves out pins that are dead at the source', 'I2', { unpins: false }),
  'clock-before-data': fault("the source's clock is taken from the header, data after", 'I2', { writes: 2 }),
  'log-hole': fault('the log is cut, the floor not raised', 'I7', { writes: 2, cuts: 1 }),
  'incarnation-reused': fault('the same incarnation after a restore', 'I6', { backups: true }),
  'gossip-before-flush': fault('published at commit, before the flush', 'I6', crash),
  'serve-unflushed': fault('rows are served from unflushed state', 'I6', { writes: 2, ...crash, ...rebuild }),
  'ack-before-flush': fault('a receiver acknowledges when it has applied', 'I5', {
    writes: 2,
    ...crash,
    acknowledges: true,
  }),
  'batch-split': fault('a batch is applied by halves', 'I9', { updates: true }),
  'repair-as-pin': fault(
    'automation writes a new pin instead of an amendment',
    'I10',
    { amends: true },
    patch(
      'batch-builder.ts',
      'const placementStamp = this.#write(AMEND, entry, [shown.replica, shown.sequence], undefined, allocations);',
      `return this.#pin({ ...op, kind: 'pin', fields: decodePinValue(shown.value) }, entry);
    const placementStamp = 0;`,
    ),
  ),
  'placement-of-sender': fault(
    "a merge takes the sender's placement",
    'I2',
    { ...rebuild, amends: true },
    patch(
      'merge.ts',
      'isGreaterPlacement(other, dot, rids) ? withPlacement(dot, other) : dot',
      'withPlacement(dot, other)',
    ),
  ),
  'merge-drops-uncovered': fault(
    'a merge keeps only what the source has',
    'I2',
    rebuild,
    patch('merge.ts', 'else if (dot.sequence > ct(dot.replica)) merged.push(dot);', ''),
  ),
  'merge-never-removes': fault(
    'a merge drops nothing',
    'I2',
    rebuild,
    patch('merge.ts', 'else if (dot.sequence > ct(dot.replica)) merged.push(dot);', 'else merged.push(dot);'),
  ),
  'merge-takes-all': fault(
    'a merge adds all that the source has',
    'I2',
    rebuild,
    patch('merge.ts', 'if (!isMine && dot.sequence > cm(dot.replica))', 'if (!isMine)'),
    patch('merge.ts', 'const isNew = (dot: LiveDot) => dot.sequence > cm(dot.replica);', 'const isNew = () => true;'),
  ),
  'clock-of-start': fault('rows are read later than the clock sent with them', 'I1', rebuild),
  'clock-of-end': fault('rows are read earlier than the clock sent with them', 'I2', rebuild),
  'equal-from-later': fault('an equal bucket is copied from a later snapshot of mine', 'I2', rebuild),
  'clock-of-last-range': fault(
    "C' jumps to the clock of each range",
    'I2',
    rebuild,
    patch('rebuild.ts', 'return { ...shadow, goal:', 'return { ...shadow, taken: e, goal:'),
  ),
  'range-below-clock': fault(
    "a range is taken whose clock does not cover C'",
    'I2',
    { peers: 3, writes: 2, ...rebuild },
    patch('rebuild.ts', "if (!covers(e, shadow.taken)) return 'behind';", ''),
  ),
  'useless-source': fault(
    'the first range is asked of a peer with nothing new',
    'I8',
    { peers: 3, writes: 1, ...rebuild, cuts: 1 },
    patch('rebuild.ts', "covers(cm, ct) ? 'useless' : ", ''),
  ),
  'clock-before-swap': fault('the live clock advances while the shadow fills', 'I2', rebuild),
  'swap-before-goal': fault(
    "swapped before C' covers the clock of every range",
    'I1',
    rebuild,
    patch('rebuild.ts', 'return covers(shadow.taken, shadow.goal) && ', 'return '),
    coversGoal,
  ),
  'swap-before-live': fault("swapped before C' covers the live clock", 'I4', rebuild, coversLive),
  'own-log-forgotten': fault(
    "the clocks are joined, instead of taking the log's batches",
    'I2',
    rebuild,
    coversLive,
    patch('rebuild.ts', 'clock: new Map(shadow.taken)', 'clock: joined(shadow.taken, c)'),
  ),
  'swap-without-clock': fault(
    'tables are swapped, the clock is left to a later transaction',
    'I1',
    { writes: 2, ...rebuild },
    patch('rebuild.ts', 'clock: new Map(shadow.taken)', 'clock: new Map(c)'),
  ),
  'floor-not-raised': fault(
    'the floor is left alone at the swap',
    'I7',
    { writes: 2, ...rebuild },
    patch('rebuild.ts', 'if (base > (c.get(rid) ?? 0)) raised.set(rid, base);', 'if (base < 0) raised.set(rid, base);'),
  ),
  'tail-cut': fault('a cut deletes what only the shadow has taken', 'I7', { ...rebuild, cuts: 1 }),
  'cut-before-answer': fault(
    'the log is cut above the clock that a first range, not answered yet, begins with',
    'L3',
    { ...rebuild, cuts: 1 },
    patch('rebuild.ts', '(taken ?? asked)', 'taken'),
  ),
  'ack-from-shadow': fault('acknowledged when the shadow has it', 'I5', { writes: 2, ...rebuild, acknowledges: true }),
  'feed-forgets-live': fault("the swap's feed row has only what differed, and the tail", 'I12', {
    ...rebuild,
    isFeedChecked: true,
  }),
  'feed-forgets-tail': fault("the swap's feed row has only what differed, and what the live rows took in", 'I12', {
    ...rebuild,
    isFeedChecked: true,
  }),
} as const satisfies Record<string, Fault>;

export type FaultName = keyof typeof faults;

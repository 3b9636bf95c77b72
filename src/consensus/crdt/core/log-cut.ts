import { type Clock, common, covers, joined } from './clocks.ts';

export interface CutInput {
  /** F, and C as flushed. */
  readonly floors: Clock;
  readonly clock: Clock;
  /** C' while a shadow stands that has begun. */
  readonly shadow: Clock | undefined;
  /** L1: the clock that each holder has acknowledged. */
  readonly acknowledged: readonly Clock[];
  /** L1: what was taken in so long ago that it may go once it is acknowledged. */
  readonly old: Clock;
  /** L2: what is too old or too much to be kept, whoever lacks it. */
  readonly due: Clock;
  /** The same by so much that it cannot wait for a shadow. */
  readonly overdue: Clock;
}

export interface Cut {
  /** The new F: never below the old one, never above C. */
  readonly floors: Map<string, number>;
  /** L3: the shadow stands in the way of what cannot wait. Its floors are then those without it. */
  readonly discardsShadow: boolean;
}

/**
 * To where the floors may rise (L1 to L3). All but what C covers stays, and while a shadow stands, what C' does not cover (fault
 * tail-cut): it will ask the own log for that.
 */
export function cut({ floors, clock, shadow, acknowledged, old, due, overdue }: CutInput): Cut {
  const discardsShadow = shadow !== undefined && !covers(shadow, common(overdue, clock));
  const polite = acknowledged.length === 0 ? new Map<string, number>() : acknowledged.reduce<Clock>(common, old);
  const wanted = common(joined(polite, due), clock);
  const allowed = shadow === undefined || discardsShadow ? wanted : common(wanted, shadow);
  return { floors: joined(floors, allowed), discardsShadow };
}

/** A clock and when this peer's C was that: taken now and then, it says how old batches are. Oldest first. */
export interface LogMark {
  readonly timeMs: number;
  readonly clock: Clock;
  /** Put into the log since the mark before. */
  readonly bytes: number;
}

/**
 * The marks that are worth keeping: of those older than `ageMs` only one in that time, or in that many bytes. Each with the bytes of
 * those that went before it.
 */
export function mergedMarks<Mark extends Pick<LogMark, 'timeMs' | 'bytes'>>(
  marks: readonly Mark[],
  nowMs: number,
  limits: { ageMs: number; bytes: number },
): { mark: Mark; bytes: number }[] {
  const kept: { mark: Mark; bytes: number }[] = [];
  let sinceMs = Number.NEGATIVE_INFINITY;
  let bytes = 0;
  for (const [i, mark] of marks.entries()) {
    bytes += mark.bytes;
    const next = marks[i + 1];
    const isNeeded =
      next === undefined ||
      nowMs - mark.timeMs <= limits.ageMs ||
      next.timeMs - sinceMs > limits.ageMs ||
      bytes + next.bytes > limits.bytes;
    if (!isNeeded) continue;
    kept.push({ mark, bytes });
    sinceMs = mark.timeMs;
    bytes = 0;
  }
  return kept;
}

/** What had been taken in by then. */
export function clockAt(marks: readonly Pick<LogMark, 'timeMs' | 'clock'>[], timeMs: number): Clock {
  return marks.findLast((mark) => mark.timeMs <= timeMs)?.clock ?? new Map();
}

/** The oldest that is still there of the log, up to the next mark: what goes first when there is too much (L2). */
export function oldestAbove(marks: readonly Pick<LogMark, 'clock'>[], floors: Clock): Clock {
  return marks.find(({ clock }) => !covers(floors, clock))?.clock ?? new Map();
}

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
}

/** What had been taken in by then. */
export function clockAt(marks: readonly LogMark[], timeMs: number): Clock {
  return marks.findLast((mark) => mark.timeMs <= timeMs)?.clock ?? new Map();
}

/** The oldest that is still there of the log, up to the next mark: what goes first when there is too much (L2). */
export function oldestAbove(marks: readonly LogMark[], floors: Clock): Clock {
  return marks.find(({ clock }) => !covers(floors, clock))?.clock ?? new Map();
}

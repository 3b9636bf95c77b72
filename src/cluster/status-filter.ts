import type { TrackerStatus } from '../model/status.ts';

/** Which words of peers on pins are meant: those that hold to all that is said here. */
export interface StatusFilter {
  /** None: all. */
  statuses: readonly TrackerStatus[];
  /** Since when it is so, wall clock, ms, both exclusive. A word of which that is not known does not match. */
  sinceAfterMs?: number;
  sinceBeforeMs?: number;
}

export function matchesStatus(filter: StatusFilter, word: { status: TrackerStatus; sinceMs: number }): boolean {
  return (filter.statuses.length === 0 || filter.statuses.includes(word.status)) && isWithin(filter, word.sinceMs);
}

export function isAnyStatus({ statuses, sinceAfterMs, sinceBeforeMs }: StatusFilter): boolean {
  return statuses.length === 0 && sinceAfterMs === undefined && sinceBeforeMs === undefined;
}

function isWithin({ sinceAfterMs, sinceBeforeMs }: StatusFilter, sinceMs: number): boolean {
  if (sinceAfterMs === undefined && sinceBeforeMs === undefined) return true;
  return (
    sinceMs > 0 &&
    (sinceAfterMs === undefined || sinceMs > sinceAfterMs) &&
    (sinceBeforeMs === undefined || sinceMs < sinceBeforeMs)
  );
}

import type { Entry } from './lanes.ts';
import { isDueKept, type StatusRow } from './status-row.ts';
import type { WorkPlace } from './tracker.ts';
import { decide, type Wanted } from './wish.ts';

/** Where a wish is, by what is in memory of it, its row and what the pinset wants. */
export function stageOf(
  entry: Pick<Entry, 'job' | 'isQueued'> | undefined,
  row: StatusRow | undefined,
  want: Wanted,
  at: { nowMs: number; unpinDelayMs: number },
): WorkPlace['stage'] {
  if (entry?.job !== undefined) return 'running';
  if (entry !== undefined) return entry.isQueued ? 'queued' : 'flushing';
  const isLater = row !== undefined && row.retryAtMs > at.nowMs;
  if (decide(want, { row, maybeHeld: false }, 'seen', at).kind === 'nothing') return isLater ? 'later' : 'idle';
  return row !== undefined && isDueKept(row.status) && !isLater ? 'due' : 'unread';
}

import type { BatchHeader, IncEntry } from './types.ts';

/** The next batch of one author that the other side lacks; undefined: no more of it. */
export interface Cursor {
  readonly ridText: string;
  next: BatchHeader | undefined;
}

/**
 * S3: which author's next batch may be sent, given what the other side has with what was sent: one whose `inc` is covered. A cursor
 * per author is all that is kept. Undefined: none is left, or none may go. `preferred` is looked at first, so that long runs
 * of one author cost one look each.
 */
export function nextSendable(
  cursors: readonly Cursor[],
  covers: (entry: IncEntry) => boolean,
  preferred: number,
): number | undefined {
  for (let i = 0; i < cursors.length; i++) {
    const index = (preferred + i) % cursors.length;
    const next = (cursors[index] as Cursor).next;
    if (next?.inc.every(covers)) return index;
  }
  return undefined;
}

import { byteString } from '../model/bytes.ts';
import { RecentSet } from '../runtime/recent-set.ts';
import { SAID_OTHERWISE_MAX } from './constants.ts';
import type { StatusRow } from './status-row.ts';
import { type Decision, saidOf, type Wanted } from './wish.ts';

/**
 * Wishes of which something else was said than their rows say: their claims had changed, and nobody had looked at that yet. If
 * the claims change back before, the row is right and stays as it is, and nobody would tell those who heard otherwise. So it is
 * written again. Bounded: of the oldest it is told with the next change of their rows.
 */
export class SaidOtherwise {
  readonly #names = new RecentSet<string>(SAID_OTHERWISE_MAX);

  note(cid: Uint8Array): void {
    this.#names.add(byteString(cid));
  }

  /** There is nothing to do for that wish: what is to be written all the same. */
  corrected(cid: Uint8Array, want: Wanted, row: StatusRow | undefined): Decision | undefined {
    if (row === undefined || saidOf(want, row) !== row.status) return undefined;
    return this.#names.delete(byteString(cid)) ? { kind: 'write', row } : undefined;
  }
}

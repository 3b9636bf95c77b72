import { byteString } from '../model/bytes.ts';
import { SAID_OTHERWISE_MAX } from './constants.ts';
import type { StatusRow } from './status-row.ts';
import { type Decision, saidOf, type Wanted } from './wish.ts';

/**
 * Wishes of which something else was said than their rows say: their claims had changed, and nobody had looked at that yet. If
 * the claims change back before, the row is right and stays as it is, and nobody would tell those who heard otherwise. So it is
 * written again. Bounded: of the oldest it is told with the next change of their rows.
 */
export class SaidOtherwise {
  readonly #names = new Set<string>();

  note(cid: Uint8Array): void {
    const name = byteString(cid);
    this.#names.delete(name);
    if (this.#names.size >= SAID_OTHERWISE_MAX) this.#names.delete(this.#names.values().next().value as string);
    this.#names.add(name);
  }

  /** There is nothing to do for that wish: what is to be written all the same. */
  corrected(cid: Uint8Array, want: Wanted, row: StatusRow | undefined): Decision | undefined {
    if (row === undefined || saidOf(want, row) !== row.status) return undefined;
    return this.#names.delete(byteString(cid)) ? { kind: 'write', row } : undefined;
  }
}

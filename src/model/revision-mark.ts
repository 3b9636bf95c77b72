import { hash } from 'node:crypto';

const MARK_BYTES = 8;
const none = new Uint8Array(0);

/**
 * A few bytes of what made a revision of a feed, from the row that it is kept in: a store that is put back and goes on from there has other
 * bytes under the same number. Empty for 0, which nothing made; undefined without the row.
 */
export function revisionMark(revision: number, row: () => Uint8Array | undefined): Uint8Array | undefined {
  if (revision === 0) return none;
  const kept = row();
  return kept && hash('sha256', kept, 'buffer').subarray(0, MARK_BYTES);
}
